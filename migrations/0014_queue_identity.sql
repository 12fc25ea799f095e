-- Which queue on Redis is this database's, and what was acknowledged and stored: so that a queue that was emptied, swapped or
-- restored from an older copy is noticed, and an older copy of this database is too.

CREATE TABLE inlet.queue (
  is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  -- All keys of the queue carry it.
  id text NOT NULL DEFAULT left(replace(gen_random_uuid()::text, '-', ''), 12),
  -- Stamps. They are written about once a second, and are null before the first one.
  born bigint,
  acknowledged bigint,
  drained bigint,
  stored bigint
);

COMMENT ON COLUMN inlet.queue.born IS 'The first stamp of the queue: another one means that it was emptied, or is another';
COMMENT ON COLUMN inlet.queue.acknowledged IS 'The greatest stamp of an acknowledged write';
COMMENT ON COLUMN inlet.queue.drained IS 'Nothing waited in the queue that had this stamp or a smaller one';
COMMENT ON COLUMN inlet.queue.stored IS 'The greatest stamp of a write that was stored';

INSERT INTO inlet.queue DEFAULT VALUES;

-- Acknowledged writes that may be lost.
CREATE TABLE inlet.losses (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  cause text NOT NULL CHECK (cause IN ('queue emptied', 'older queue', 'older database')),
  -- Those with greater stamps than this one, up to that one.
  from_stamp bigint NOT NULL,
  to_stamp bigint NOT NULL,
  noticed_at timestamptz NOT NULL DEFAULT now(),
  accepted_at timestamptz,
  -- Requests that processes remembered to have acknowledged, and that were not stored when it was noticed.
  request_ids text[] NOT NULL DEFAULT '{}'
);

-- As before, and tells the stamp before this one.
DROP FUNCTION inlet.take_stamp();
CREATE FUNCTION inlet.take_stamp(OUT stamp bigint, OUT clock bigint, OUT last bigint) LANGUAGE plpgsql AS $$
BEGIN
  -- One after the other: setval could lower what another has just raised. ("stamps" in ASCII)
  PERFORM pg_advisory_xact_lock(x'7374616d7073'::bigint);
  clock := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  SELECT s.last_value, greatest(clock, s.last_value + 1) INTO last, stamp FROM inlet.stamps AS s;
  PERFORM setval('inlet.stamps', stamp);
END
$$;
