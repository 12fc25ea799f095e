-- What clients say of a namespace's fields, and an index for lists of requests by status.

CREATE TABLE inlet.settings (
  namespace   text COLLATE "C" PRIMARY KEY,
  schema      jsonb NOT NULL,
  -- The order of writes, as with objects: a schema that came with data is applied only where it is later.
  accepted_at timestamptz NOT NULL,
  request_id  text COLLATE "C" NOT NULL,
  updated_at  timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE inlet.settings IS 'The latest accepted schema of each namespace that has one';

-- Nearly all requests have succeeded: the few that have not are found without paying for those.
CREATE INDEX requests_not_succeeded ON inlet.requests (namespace, status, request_id)
  WHERE status <> 'succeeded';
