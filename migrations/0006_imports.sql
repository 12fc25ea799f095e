-- Imports: requests whose objects come as a file, in many chunks.

CREATE TABLE inlet.imports (
  request_id    text COLLATE "C" PRIMARY KEY,
  expires_at    timestamptz NOT NULL,
  -- Which upload counts, from 1: a broken one is sent again as a whole, and what is left of it counts for nothing.
  upload        integer NOT NULL DEFAULT 0,
  -- When the API last said that the upload runs; NULL while none does.
  alive_at      timestamptz,
  -- How many chunks the upload has; NULL until all of them are in the queue.
  chunks        integer,
  stored_chunks integer NOT NULL DEFAULT 0
);

-- How many objects a file turned out to have, once all of it is in the queue.
ALTER TABLE inlet.requests ADD COLUMN expected integer;

COMMENT ON TABLE inlet.imports IS 'What imports have beside their row in inlet.requests';

CREATE TABLE inlet.import_chunks (
  request_id text COLLATE "C" NOT NULL,
  chunk      integer NOT NULL,
  -- The ids of its objects that did not fail as a list in the order of the file.
  ids        jsonb NOT NULL,
  PRIMARY KEY (request_id, chunk)
);

COMMENT ON TABLE inlet.import_chunks IS 'The chunks of the upload that counts which have been stored';
COMMENT ON COLUMN inlet.failed_objects.index IS 'Index in the request, from 0; of an import the line number, from 1';
COMMENT ON COLUMN inlet.failed_objects.sqlstate IS 'Why Postgres refused it; empty for lines of an import that Inlet refused';
