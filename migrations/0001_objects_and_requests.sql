-- The objects, the requests that brought them, and the objects that could not be stored.
--
-- Text that is compared or sorted is COLLATE "C": byte order is the same on every machine (a glibc upgrade
-- can't corrupt the index) and fastest. Nothing here stands in the way of distributing the tables by
-- namespace later: keys begin with it or with the request, and no foreign key ties them together.

CREATE TABLE inlet.objects (
  namespace   text COLLATE "C" NOT NULL,
  id          text COLLATE "C" NOT NULL,
  data        jsonb NOT NULL,
  revision    bigint NOT NULL DEFAULT 1,
  -- The order of writes: (accepted_at, request_id). A write is applied only where it is greater.
  accepted_at timestamptz NOT NULL,
  request_id  text COLLATE "C" NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  updated_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (namespace, id)
);

COMMENT ON TABLE inlet.objects IS 'The latest accepted version of each object';
COMMENT ON COLUMN inlet.objects.revision IS 'How many different versions have been stored under this id';

-- lz4 packs and unpacks several times faster than the default; some builds of Postgres come without it.
DO $$
BEGIN
  IF EXISTS (
    SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)
  ) THEN
    ALTER TABLE inlet.objects ALTER COLUMN data SET COMPRESSION lz4;
  END IF;
END
$$;

CREATE TABLE inlet.requests (
  request_id   text COLLATE "C" PRIMARY KEY,
  namespace    text COLLATE "C" NOT NULL,
  status       text NOT NULL CHECK (status IN ('succeeded', 'failed')),
  accepted_at  timestamptz NOT NULL,
  completed_at timestamptz NOT NULL DEFAULT now(),
  -- The ids of its objects as a list in the order of the request. Kept here rather than found by an index on
  -- objects.request_id, which every write would pay for and which would forget what was overtaken.
  ids          jsonb NOT NULL
);

COMMENT ON TABLE inlet.requests IS 'Requests whose objects have been stored or kept as failed';

CREATE TABLE inlet.failed_objects (
  request_id  text COLLATE "C" NOT NULL,
  index       integer NOT NULL,
  namespace   text COLLATE "C" NOT NULL,
  id          text COLLATE "C" NOT NULL,
  -- The object as it was sent: text, because jsonb may be what refused it.
  object      text NOT NULL,
  sqlstate    text NOT NULL,
  message     text NOT NULL,
  accepted_at timestamptz NOT NULL,
  failed_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (request_id, index)
);

COMMENT ON TABLE inlet.failed_objects IS 'Accepted objects that Postgres refused, with the reason';
