/**
 * Deletes what nobody will ask for any more: finished requests, abandoned imports, former versions of objects, deliveries
 * of webhooks, and what was left of discarded objects. Never objects, and never objects that could not be stored: those wait
 * for an operator.
 */
import type { Queryable } from './database.ts';

/** How long things are kept, in milliseconds. */
export interface RetentionTimes {
  readonly requests: number;
  readonly revisions: number;
  readonly deliveries: number;
}

/** How many rows were deleted. */
export interface RetentionOutcome {
  readonly requests: number;
  readonly revisions: number;
  readonly deliveries: number;
  readonly discarded: number;
}

/** Rows that one statement deletes: few enough that nobody waits for it. */
const STEP_ROWS = 1_000;

/** Rows that are looked up at a time: each look passes over what the steps before have deleted. */
const LOOK_ROWS = 50_000;

/** What is deleted, by the time in a column, where `only` holds. */
const TABLES = {
  requests: {
    table: 'inlet.requests',
    column: 'completed_at',
    // What imports have beside their row.
    alsoFrom: ['inlet.imports', 'inlet.import_chunks'],
    only: 'true',
  },
  revisions: { table: 'inlet.revisions', column: 'replaced_at', alsoFrom: [], only: 'true' },
  discarded: {
    table: 'inlet.failed_objects',
    column: 'discarded_at',
    alsoFrom: [],
    // As long as there is a request, it would list as a result what was never stored.
    only: 'NOT EXISTS (SELECT FROM inlet.requests WHERE requests.request_id = failed_objects.request_id)',
  },
  deliveries: {
    table: 'inlet.webhook_deliveries',
    column: 'created_at',
    alsoFrom: [],
    // One that still waits is tried for about three days; after a month its endpoint has been disabled for long.
    only: "(status <> 'pending' OR created_at < now() - interval '30 days')",
  },
} as const;

/**
 * Deletes what is older than it has to be kept, in small steps of a transaction each.
 * @param stopping ends it after the step in hand; the rest is left to the next time
 * @throws as `Database.query`; what was deleted until then stays deleted
 */
export async function deleteExpired(
  on: Queryable,
  times: RetentionTimes,
  stopping: AbortSignal,
): Promise<RetentionOutcome> {
  const requests =
    (await deleteOld(on, 'requests', times.requests, stopping)) +
    (await deleteAbandoned(on, times.requests, stopping));
  const revisions = await deleteOld(on, 'revisions', times.revisions, stopping);
  const deliveries = await deleteOld(on, 'deliveries', times.deliveries, stopping);
  // After the requests.
  const discarded = await deleteOld(on, 'discarded', times.requests, stopping);
  return { requests, revisions, deliveries, discarded };
}

/** Imports whose file never came, or never as a whole, and whose URL has long expired. */
const ABANDONED = `
  WITH abandoned AS (
    SELECT request_id FROM inlet.imports
    WHERE chunks IS NULL AND expires_at < now() - $2::bigint * interval '1 millisecond'
      AND (alive_at IS NULL OR alive_at < now() - interval '1 hour')
    LIMIT $1 FOR UPDATE SKIP LOCKED
  ), requests AS (
    DELETE FROM inlet.requests WHERE request_id IN (SELECT request_id FROM abandoned)
  ), chunks AS (
    DELETE FROM inlet.import_chunks WHERE request_id IN (SELECT request_id FROM abandoned)
  )
  DELETE FROM inlet.imports WHERE request_id IN (SELECT request_id FROM abandoned) RETURNING 1 AS deleted`;

async function deleteAbandoned(on: Queryable, keepMs: number, stopping: AbortSignal): Promise<number> {
  let total = 0;
  while (!stopping.aborted) {
    const deleted = await on.query({ text: ABANDONED, values: [STEP_ROWS, keepMs] });
    total += deleted.length;
    if (deleted.length < STEP_ROWS) break;
  }
  return total;
}

async function deleteOld(
  on: Queryable,
  what: keyof typeof TABLES,
  keepMs: number,
  stopping: AbortSignal,
): Promise<number> {
  const { table, column, alsoFrom, only } = TABLES[what];
  const isOld = `${column} < now() - $2::bigint * interval '1 millisecond' AND ${only}`;
  const look = `SELECT ctid::text AS place FROM ${table} WHERE ${isOld} LIMIT $1`;
  // Looked at again, because a place may hold another row by now. What somebody else works on is left to the
  // next time: waiting for workers, while they wait for what was deleted here, would be a circle.
  const also = alsoFrom.map(
    (other, n) =>
      `, also_${n} AS (DELETE FROM ${other} WHERE request_id IN (SELECT request_id FROM deleted))`,
  );
  const step = `
    WITH deleted AS (
      DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM ${table} WHERE ctid = ANY ($1::tid[]) AND ${isOld} FOR UPDATE SKIP LOCKED
      ))
      RETURNING request_id
    )${also.join('')}
    SELECT request_id FROM deleted`;
  let total = 0;
  for (;;) {
    const found = await on.query<{ place: string }>({ text: look, values: [LOOK_ROWS, keepMs] });
    let deleted = 0;
    for (let from = 0; from < found.length && !stopping.aborted; from += STEP_ROWS) {
      const places = found.slice(from, from + STEP_ROWS).map(({ place }) => place);
      deleted += (await on.query({ text: step, values: [places, keepMs] })).length;
    }
    total += deleted;
    if (found.length < LOOK_ROWS || deleted === 0 || stopping.aborted) return total;
  }
}
