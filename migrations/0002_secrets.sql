-- Secrets that Inlet makes for itself and that all of its processes share.

CREATE TABLE inlet.secrets (
  name       text COLLATE "C" PRIMARY KEY,
  value      bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
