-- What a request or a chunk of an import waits for is what was stored with it: an object of it that had failed, and is
-- replayed while it waits, is evaluated and told of for itself.

ALTER TABLE inlet.evaluations
  -- Of a request: the places of the objects that failed. NULL: a former version wrote it.
  ADD COLUMN failed integer[],
  -- Of a chunk: how many ids it had; those of replayed objects come after them. NULL: a former version wrote it.
  ADD COLUMN objects integer;
