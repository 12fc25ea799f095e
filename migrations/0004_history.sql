-- Deletes, and the history of objects.

-- A deleted object keeps its row, so that an older write that is still in the queue can't bring it back.
ALTER TABLE inlet.objects ALTER COLUMN data DROP NOT NULL;

COMMENT ON COLUMN inlet.objects.data IS 'The object as it was sent; null: it has been deleted';

CREATE TABLE inlet.revisions (
  namespace   text COLLATE "C" NOT NULL,
  id          text COLLATE "C" NOT NULL,
  revision    bigint NOT NULL,
  data        jsonb,
  request_id  text COLLATE "C" NOT NULL,
  accepted_at timestamptz NOT NULL,
  stored_at   timestamptz NOT NULL,
  replaced_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (namespace, id, revision)
);

COMMENT ON TABLE inlet.revisions IS 'Versions of objects that were overwritten or deleted';
COMMENT ON COLUMN inlet.revisions.data IS 'The object as it was sent; null: in this version it was deleted';
COMMENT ON COLUMN inlet.revisions.stored_at IS 'When this version was stored';
COMMENT ON COLUMN inlet.revisions.replaced_at IS 'When the next version took its place';

DO $$
BEGIN
  IF EXISTS (
    SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)
  ) THEN
    ALTER TABLE inlet.revisions ALTER COLUMN data SET COMPRESSION lz4;
  END IF;
END
$$;

-- For deleting what is too old. Rows come in the order of these times, for which a BRIN index is enough: a few
-- pages, and next to nothing to keep up.
CREATE INDEX revisions_by_age ON inlet.revisions USING brin (replaced_at);
CREATE INDEX requests_by_age ON inlet.requests USING brin (completed_at);

-- Keeps what a statement has overwritten, and removes what goes beyond the limit for each object.
--
-- The limit is the setting inlet.history_limit of the transaction: 100 where it isn't set, 0 for no history.
--
-- A connection keeps the plans that it made for its first batch, when the tables may have been empty and the
-- batch small. So the planner is left only what is right for any size: a hash join of old rows with new ones, and
-- the index for what is beyond the limit. (jit: before Postgres 18 a plan that does what is off looks so expensive
-- that it would be compiled.)
CREATE FUNCTION inlet.keep_revisions() RETURNS trigger LANGUAGE plpgsql
  SET enable_nestloop = off
  SET enable_seqscan = off
  SET enable_bitmapscan = off
  SET jit = off
AS $$
DECLARE
  keep bigint := coalesce(nullif(current_setting('inlet.history_limit', true), ''), '100')::bigint;
BEGIN
  -- The trigger is called for statements too that have only inserted.
  IF keep <= 0 OR NOT EXISTS (SELECT FROM overwritten) THEN
    RETURN NULL;
  END IF;

  INSERT INTO inlet.revisions (namespace, id, revision, data, request_id, accepted_at, stored_at)
  SELECT o.namespace, o.id, o.revision, o.data, o.request_id, o.accepted_at, o.updated_at
  FROM overwritten AS o
  JOIN written AS w ON w.namespace = o.namespace AND w.id = o.id
  WHERE w.revision <> o.revision
  ON CONFLICT (namespace, id, revision) DO NOTHING;

  -- Numbers count on without gaps, so what is beyond the limit is known by its number. Where the limit was
  -- lowered, an object with more than this comes down to it a step with each write.
  IF EXISTS (SELECT FROM written WHERE revision > keep + 1) THEN
    DELETE FROM inlet.revisions
    WHERE ctid = ANY (ARRAY(
      SELECT beyond.ctid
      FROM written AS w
      CROSS JOIN LATERAL (
        SELECT r.ctid
        FROM inlet.revisions AS r
        WHERE r.namespace = w.namespace AND r.id = w.id AND r.revision < w.revision - keep
        ORDER BY r.namespace, r.id, r.revision
        LIMIT 100
      ) AS beyond
      WHERE w.revision > keep + 1
    ));
  END IF;
  RETURN NULL;
END
$$;

CREATE TRIGGER keep_revisions
  AFTER UPDATE ON inlet.objects
  REFERENCING OLD TABLE AS overwritten NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION inlet.keep_revisions();
