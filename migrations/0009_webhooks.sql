-- Webhooks: endpoints, their secrets, and what is to be delivered to each of them.

CREATE TABLE inlet.webhook_endpoints (
  endpoint_id     text COLLATE "C" PRIMARY KEY,
  url             text NOT NULL,
  description     text NOT NULL DEFAULT '',
  -- NULL: all of them.
  namespaces      text[],
  events          text[] NOT NULL CHECK (
    cardinality(events) > 0 AND events <@ ARRAY['workflow.succeeded', 'workflow.failed']
  ),
  -- Deliveries for each second; NULL: no limit.
  rate            integer CHECK (rate > 0),
  disabled_at     timestamptz,
  disabled_reason text CHECK (disabled_reason IN ('requested', 'gone', 'failing')),
  -- Since when nothing has been delivered though it was tried; NULL where the last attempt succeeded.
  failing_since   timestamptz,
  -- Nothing is sent before this time: the receiver has asked for it.
  paused_until    timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now(),
  CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);

COMMENT ON TABLE inlet.webhook_endpoints IS 'Where events are sent to';

CREATE TABLE inlet.webhook_secrets (
  endpoint_id text COLLATE "C" NOT NULL,
  -- whsec_ and base64. It has to be readable, because deliveries are signed with it.
  secret      text NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  -- NULL: the current one. One that was rotated out still signs until then.
  expires_at  timestamptz,
  PRIMARY KEY (endpoint_id, secret)
);

CREATE UNIQUE INDEX webhook_secrets_current ON inlet.webhook_secrets (endpoint_id) WHERE expires_at IS NULL;

-- The outbox, and the list of what was delivered: a row for each event and endpoint, written in the transaction
-- that stores the objects. No foreign key to the endpoint: whoever stores objects must not wait for somebody who
-- changes it.
CREATE TABLE inlet.webhook_deliveries (
  endpoint_id     text COLLATE "C" NOT NULL,
  -- The header webhook-id: the same for all endpoints and all attempts. It follows from the request and the
  -- object's place in it, so that a batch that is stored a second time adds nothing.
  webhook_id      text COLLATE "C" NOT NULL,
  type            text COLLATE "C" NOT NULL,
  namespace       text COLLATE "C" NOT NULL,
  object_id       text COLLATE "C" NOT NULL,
  request_id      text COLLATE "C" NOT NULL,
  accepted_at     timestamptz NOT NULL,
  -- The object's values of the fields that its namespace calls metadata; NULL: none.
  metadata        jsonb,
  -- What the evaluator has answered; NULL: nothing.
  output          jsonb,
  -- Why it has failed; of workflow.failed only.
  error           text,
  status          text COLLATE "C" NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'succeeded', 'failed')),
  -- A list of {"at", "status_code", "duration_ms", "response", "error"}, the oldest first.
  attempts        jsonb NOT NULL DEFAULT '[]',
  -- How many of them count for the schedule of retries: those since the event came, or since it was replayed.
  tries           integer NOT NULL DEFAULT 0,
  next_attempt_at timestamptz NOT NULL DEFAULT now(),
  created_at      timestamptz NOT NULL DEFAULT now(),
  completed_at    timestamptz,
  PRIMARY KEY (endpoint_id, webhook_id)
);

COMMENT ON TABLE inlet.webhook_deliveries IS 'Events on their way to endpoints, and what became of them';

CREATE INDEX webhook_deliveries_due ON inlet.webhook_deliveries (endpoint_id, next_attempt_at)
  WHERE status = 'pending';
CREATE INDEX webhook_deliveries_failed ON inlet.webhook_deliveries (endpoint_id, webhook_id)
  WHERE status = 'failed';
CREATE INDEX webhook_deliveries_by_age ON inlet.webhook_deliveries USING brin (created_at);
