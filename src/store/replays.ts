/**
 * What a replay does to the tables beside the objects'. Rows are locked in the order in which the storing of a chunk locks
 * them: objects, imports, and only then what is kept of failed objects and of requests.
 */
import type { WriteOrder } from '../domain/batch.ts';
import type { Queryable } from './database.ts';
import type { FailedPlace, FailedScope } from './failed-list.ts';
import { stretch } from './failed-list.ts';
import { MICROS_OF, stampOfRow } from './sql-time.ts';

/** How many objects are replayed in one transaction, and about how many bytes of them. */
const PAGE = 500;
const PAGE_BYTES = 1024 * 1024;

/** The ids of a large import are looked through for those that were replayed. */
const ADD_IDS_TIMEOUT_MS = 900_000;

/** A failed object that is to be stored. Times are microseconds since 1970. */
export interface FailedWrite extends FailedPlace, WriteOrder {
  readonly namespace: string;
  readonly id: string;
  /** Its JSON text; of a delete the id alone, as a JSON string. */
  readonly object: string;
  readonly failedAt: number;
}

/**
 * Reads the next failed objects, as many as make a transaction.
 * @param after the last one of those before
 */
export async function readFailedWrites(
  on: Queryable,
  scope: FailedScope,
  after: FailedPlace | undefined,
): Promise<FailedWrite[]> {
  const { text, values } = stretch('request_id, index, octet_length(object) AS bytes', scope, after, PAGE);
  const rows = await on.query<{
    request_id: string;
    index: number;
    namespace: string;
    id: string;
    object: string;
    accepted_at: string;
    stamp: string;
    part: number;
    failed_at: string;
  }>({
    text: `SELECT f.request_id, f.index, f.namespace, f.id, f.object, ${MICROS_OF('f.accepted_at')} AS accepted_at,
                  ${stampOfRow('f')} AS stamp, coalesce(f.part, 0) AS part, ${MICROS_OF('f.failed_at')} AS failed_at
           FROM (
             SELECT request_id, index, sum(bytes) OVER (ORDER BY request_id DESC, index) - bytes AS before
             FROM (${text}) AS listed
           ) AS place
           JOIN inlet.failed_objects AS f ON f.request_id = place.request_id AND f.index = place.index
           WHERE place.before < ${PAGE_BYTES}
           ORDER BY f.request_id DESC, f.index`,
    values,
  });
  return rows.map((row) => ({
    requestId: row.request_id,
    index: row.index,
    namespace: row.namespace,
    id: row.id,
    object: row.object,
    acceptedAt: Number(row.accepted_at),
    stamp: Number(row.stamp),
    part: row.part,
    failedAt: Number(row.failed_at),
  }));
}

/** Locks those of some requests that are imports. @returns their ids */
export async function lockImports(on: Queryable, requestIds: readonly string[]): Promise<Set<string>> {
  const rows = await on.query<{ request_id: string }>({
    text: 'SELECT request_id FROM inlet.imports WHERE request_id = ANY($1) ORDER BY request_id FOR UPDATE',
    values: [requestIds],
  });
  return new Set(rows.map(({ request_id }) => request_id));
}

/**
 * Locks failed objects, and those of the same ids that stand before them in their requests, which go with them: all in one
 * order, so that nobody who replays or discards waits for another in a circle.
 * @returns whether all of them are still as they were read
 */
export async function lockFailed(on: Queryable, writes: readonly FailedWrite[]): Promise<boolean> {
  const rows = await on.query<{ request_id: string; index: number; failed_at: string }>({
    text: `SELECT f.request_id, f.index, ${MICROS_OF('f.failed_at')} AS failed_at
           FROM inlet.failed_objects AS f
           JOIN (
             SELECT request_id, id, max(index) AS index
             FROM unnest($1::text[], $2::int[], $3::text[]) AS w (request_id, index, id)
             GROUP BY request_id, id
           ) AS last ON f.request_id = last.request_id AND f.id = last.id AND f.index <= last.index
           WHERE f.discarded_at IS NULL AND f.sqlstate <> ''
           ORDER BY f.request_id, f.index
           FOR UPDATE OF f`,
    values: [...placesOf(writes), writes.map(({ id }) => id)],
  });
  const locked = new Map(rows.map((row) => [`${row.request_id} ${row.index}`, Number(row.failed_at)]));
  return writes.every(({ requestId, index, failedAt }) => locked.get(`${requestId} ${index}`) === failedAt);
}

/** What has failed no longer. */
export interface Settled extends FailedPlace {
  readonly id: string;
  /** The chunk of an import that it came with. */
  readonly part: number;
}

/**
 * Removes failed objects that have been stored or overtaken, and with each those of the same id that stand before it in its
 * request: it has overtaken them.
 * @returns all that were removed
 */
export async function removeFailed(on: Queryable, writes: readonly FailedWrite[]): Promise<Settled[]> {
  const remove = (condition: string) =>
    on.query<{ request_id: string; index: number; id: string; part: number }>({
      text: `DELETE FROM inlet.failed_objects AS f
             USING unnest($1::text[], $2::int[], $3::text[]) AS w (request_id, index, id)
             WHERE f.request_id = w.request_id AND f.id = w.id AND ${condition}
             RETURNING f.request_id, f.index, f.id, coalesce(f.part, (
               -- Chunks of the version before were stamped a microsecond one after the other.
               SELECT ${MICROS_OF('f.accepted_at')} - ${MICROS_OF('r.accepted_at')}
               FROM inlet.requests AS r WHERE r.request_id = f.request_id
             ), 0)::int AS part`,
      values: [...placesOf(writes), writes.map(({ id }) => id)],
    });
  const rows = [
    ...(await remove('f.index = w.index')),
    ...(await remove(`f.index < w.index AND f.sqlstate <> '' AND f.discarded_at IS NULL`)),
  ];
  return rows.map(({ request_id, ...row }) => ({ requestId: request_id, ...row }));
}

/** Notes that objects were tried again in vain, and why this time. */
export async function noteFailures(
  on: Queryable,
  failures: readonly (FailedPlace & { readonly sqlState: string; readonly message: string })[],
): Promise<void> {
  await on.query({
    text: `UPDATE inlet.failed_objects AS f
           SET sqlstate = w.sqlstate, message = w.message, attempts = f.attempts + 1, failed_at = clock_timestamp()
           FROM unnest($1::text[], $2::int[], $3::text[], $4::text[]) AS w (request_id, index, sqlstate, message)
           WHERE f.request_id = w.request_id AND f.index = w.index`,
    values: [
      ...placesOf(failures),
      failures.map(({ sqlState }) => sqlState),
      failures.map(({ message }) => message),
    ],
  });
}

/** Counts objects of requests as stored that had failed. A request of which none is left has succeeded. */
export async function countStored(on: Queryable, settled: readonly Settled[]): Promise<void> {
  const counts = new Map<string, number>();
  for (const { requestId } of settled) counts.set(requestId, (counts.get(requestId) ?? 0) + 1);
  await on.query({
    text: `WITH request AS (
             SELECT request_id, greatest(failed - w.count, 0) AS left, status = 'failed' AND failed <= w.count AS succeeds
             FROM inlet.requests JOIN unnest($1::text[], $2::int[]) AS w (id, count) ON request_id = w.id
             ORDER BY request_id FOR UPDATE OF requests
           )
           UPDATE inlet.requests AS r
           SET failed = request.left,
               status = CASE WHEN request.succeeds THEN 'succeeded' ELSE r.status END,
               completed_at = CASE WHEN request.succeeds THEN now() ELSE r.completed_at END
           FROM request WHERE r.request_id = request.request_id`,
    values: [[...counts.keys()], [...counts.values()]],
  });
}

/**
 * Adds ids to the results of an import: those that it doesn't have yet, each to the chunk that it came in.
 */
export async function addImportIds(
  on: Queryable,
  requestId: string,
  settled: readonly Settled[],
): Promise<void> {
  await on.query({
    text: `WITH replayed AS (
             SELECT DISTINCT ON (w.id) w.id, w.index, w.chunk
             FROM unnest($2::text[], $3::int[], $4::int[]) AS w (id, index, chunk)
             ORDER BY w.id, w.index
           ), listed AS (
             SELECT DISTINCT i.id
             FROM inlet.import_chunks, jsonb_array_elements_text(ids) AS i (id)
             WHERE request_id = $1 AND i.id = ANY ($2)
           ), added AS (
             SELECT chunk, jsonb_agg(id ORDER BY index) AS ids
             FROM replayed WHERE id NOT IN (SELECT id FROM listed)
             GROUP BY chunk
           )
           UPDATE inlet.import_chunks AS c SET ids = c.ids || added.ids
           FROM added WHERE c.request_id = $1 AND c.chunk = added.chunk`,
    values: [
      requestId,
      settled.map(({ id }) => id),
      settled.map(({ index }) => index),
      settled.map(({ part }) => part),
    ],
    timeoutMs: ADD_IDS_TIMEOUT_MS,
  });
}

function placesOf(places: readonly FailedPlace[]): [readonly string[], readonly number[]] {
  return [places.map(({ requestId }) => requestId), places.map(({ index }) => index)];
}
