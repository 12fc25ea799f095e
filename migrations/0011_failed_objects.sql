-- Failed objects are listed, tried again and discarded.

ALTER TABLE inlet.failed_objects
  -- How often it was tried to store the object.
  ADD COLUMN attempts integer NOT NULL DEFAULT 1,
  -- Somebody wants it no more. The row stays, without the object's text, for as long as its request: an object that was
  -- discarded has not been stored.
  ADD COLUMN discarded_at timestamptz;

COMMENT ON COLUMN inlet.failed_objects.failed_at IS 'When it was last tried';

-- The order of lists: the newest request first, and its objects in their order.
CREATE INDEX failed_objects_kept ON inlet.failed_objects (namespace, request_id DESC, index)
  WHERE discarded_at IS NULL;

-- What was replayed and is still to be evaluated. Not with the requests and chunks: no request waits for it.
CREATE TABLE inlet.replay_evaluations (
  -- The job that has replayed it, which is one task of the evaluation.
  batch_id    text COLLATE "C" NOT NULL,
  request_id  text COLLATE "C" NOT NULL,
  -- What tells its event from the others of its request.
  key         text COLLATE "C" NOT NULL,
  namespace   text COLLATE "C" NOT NULL,
  id          text COLLATE "C" NOT NULL,
  accepted_at timestamptz NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (batch_id, request_id, key)
);

COMMENT ON TABLE inlet.replay_evaluations IS 'Replayed objects that are stored and still to be evaluated';
