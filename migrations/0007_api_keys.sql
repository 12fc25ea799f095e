-- API keys beside those of the settings. Every API process holds all of them in memory.

CREATE TABLE inlet.api_keys (
  key_id       text COLLATE "C" PRIMARY KEY,
  name         text NOT NULL,
  -- SHA-256. The key itself is shown once, when it is made, and kept nowhere.
  hash         bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
  scopes       text[] NOT NULL CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['read', 'write', 'admin']),
  -- NULL: all of them.
  namespaces   text[],
  -- For each second; NULL: no limit.
  request_rate integer CHECK (request_rate > 0),
  object_rate  integer CHECK (object_rate > 0),
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_at timestamptz
);

COMMENT ON TABLE inlet.api_keys IS 'API keys, by the hash of each';
COMMENT ON COLUMN inlet.api_keys.last_used_at IS 'Written every half a minute or so';

-- Whoever changes a key, also by hand, tells the API processes. When a key was last used is no change to it.
CREATE FUNCTION inlet.announce_api_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('inlet_api_keys', '');
  RETURN NULL;
END
$$;

CREATE TRIGGER announce_api_keys
  AFTER INSERT OR DELETE OR TRUNCATE
     OR UPDATE OF key_id, name, hash, scopes, namespaces, request_rate, object_rate, expires_at, revoked_at
  ON inlet.api_keys
  FOR EACH STATEMENT EXECUTE FUNCTION inlet.announce_api_keys();
