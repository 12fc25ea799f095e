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
