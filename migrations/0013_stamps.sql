-- The order of writes hangs on a stamp that never falls, and no longer on a clock, which may step back.

ALTER TABLE inlet.objects
  -- Null: written by a version of Inlet that ordered by accepted_at.
  ADD COLUMN stamp bigint,
  -- The chunk of an import that it came with, all of which have one stamp; null: 0.
  ADD COLUMN part integer;

COMMENT ON COLUMN inlet.objects.accepted_at IS 'When the write was accepted, by the clock of the queue''s server: for people';
COMMENT ON COLUMN inlet.objects.stamp IS 'The order of writes: (stamp, request_id, part). A write is applied only where it is greater';

ALTER TABLE inlet.revisions ADD COLUMN stamp bigint, ADD COLUMN part integer;
ALTER TABLE inlet.failed_objects ADD COLUMN stamp bigint, ADD COLUMN part integer;
ALTER TABLE inlet.settings ADD COLUMN stamp bigint;
ALTER TABLE inlet.webhook_deliveries ADD COLUMN stamp bigint;
ALTER TABLE inlet.replay_evaluations ADD COLUMN stamp bigint;
ALTER TABLE inlet.requests ADD COLUMN stamp bigint;

-- The stamps of a queue in Postgres. A sequence, because no transaction holds it up, and a crash doesn't take it back.
CREATE SEQUENCE inlet.stamps AS bigint;

-- Takes a stamp: the clock in microseconds, but always more than the one before. Call it in a transaction of its own that
-- doesn't wait for the disk: the commit that stores what is stamped flushes it along.
CREATE FUNCTION inlet.take_stamp(OUT stamp bigint, OUT clock bigint) LANGUAGE plpgsql AS $$
BEGIN
  -- One after the other: setval could lower what another has just raised. ("stamps" in ASCII)
  PERFORM pg_advisory_xact_lock(x'7374616d7073'::bigint);
  clock := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
  SELECT greatest(clock, s.last_value + 1) INTO stamp FROM inlet.stamps AS s;
  PERFORM setval('inlet.stamps', stamp);
END
$$;

-- As before, with the place in the order of what was overwritten.
CREATE OR REPLACE FUNCTION inlet.keep_revisions() RETURNS trigger LANGUAGE plpgsql
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

  INSERT INTO inlet.revisions (namespace, id, revision, data, request_id, accepted_at, stored_at, stamp, part)
  SELECT o.namespace, o.id, o.revision, o.data, o.request_id, o.accepted_at, o.updated_at, o.stamp, o.part
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
