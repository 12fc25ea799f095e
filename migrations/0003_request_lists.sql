-- Requests are listed by namespace, newest first, and there are some (imports) that have a row before they are done.

ALTER TABLE inlet.requests
  ADD COLUMN objects integer,
  ADD COLUMN failed integer NOT NULL DEFAULT 0,
  ALTER COLUMN completed_at DROP NOT NULL,
  -- Imports keep their ids with their chunks.
  ALTER COLUMN ids DROP NOT NULL,
  DROP CONSTRAINT requests_status_check,
  ADD CONSTRAINT requests_status_check
    CHECK (status IN ('queued', 'uploading', 'ingesting', 'succeeded', 'failed'));

UPDATE inlet.requests SET
  objects = jsonb_array_length(ids),
  failed = (SELECT count(*) FROM inlet.failed_objects WHERE failed_objects.request_id = requests.request_id);

ALTER TABLE inlet.requests ALTER COLUMN objects SET NOT NULL;

CREATE INDEX requests_by_namespace ON inlet.requests (namespace, request_id);

COMMENT ON TABLE inlet.requests IS 'Requests that are done, and imports from the moment that their upload URL was asked for';
COMMENT ON COLUMN inlet.requests.objects IS 'How many objects it has; of an import that is not done, how many so far';
COMMENT ON COLUMN inlet.requests.failed IS 'How many of them could not be stored';
