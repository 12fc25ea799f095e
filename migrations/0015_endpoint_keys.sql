-- Which API key made an endpoint, and which one has set its URL; NULL: not known, it was before this. Keys are counted by the
-- first, and what a revoked key has left behind is found by both.

ALTER TABLE inlet.webhook_endpoints
  ADD COLUMN created_by text COLLATE "C",
  ADD COLUMN url_set_by text COLLATE "C";
