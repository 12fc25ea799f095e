-- What is done again and again, by one process at a time.

CREATE TABLE inlet.schedules (
  name         text COLLATE "C" PRIMARY KEY,
  -- When the next run may begin.
  due_at       timestamptz NOT NULL DEFAULT now(),
  -- A run that is in hand belongs to one process until then; it renews it while it runs.
  leased_until timestamptz NOT NULL DEFAULT '-infinity',
  holder       text
);

COMMENT ON TABLE inlet.schedules IS 'When each of the recurring tasks is due, and who is at it';
