/**
 * What waits to be evaluated: requests, and chunks of imports, whose objects are stored. A row is written in the
 * transaction that stores them, and deleted in the one that ends the wait.
 */
import type { BatchId } from '../domain/request-id.ts';
import type { Queryable } from './database.ts';
import { readWaitingReplays } from './replay-evaluations.ts';
import { MICROS_OF, stampOfRow } from './sql-time.ts';

/** A request that waits, or a chunk of one. */
interface WaitingPart {
  readonly requestId: string;
  /** Of an import only. */
  readonly chunk?: number;
}

/** One that begins to wait. */
export interface NewWait extends WaitingPart {
  /** The batch that it came with. */
  readonly batchId: BatchId;
  /** Of a request: the places of its objects that failed. */
  readonly failed?: readonly number[];
  /** Of a chunk: how many ids it lists. */
  readonly objects?: number;
}

/** One that waits, with its objects. */
export interface WaitingObjects extends WaitingPart {
  readonly namespace: string;
  /** Microseconds since 1970. */
  readonly acceptedAt: number;
  readonly stamp: number;
  /** Each id once, with the key of its place that events have. */
  readonly objects: readonly { readonly id: string; readonly key: string }[];
  /** Its only object was replayed: its request doesn't wait for it. */
  readonly isReplay?: true;
}

/** What stands in the table where there is no chunk. */
const NO_CHUNK = -1;

/** Lets requests and chunks wait. */
export async function recordEvaluations(on: Queryable, parts: readonly NewWait[]): Promise<void> {
  await on.write({
    name: 'record-evaluations',
    text: `INSERT INTO inlet.evaluations (request_id, chunk, batch_id, failed, objects)
           SELECT request_id, chunk, batch_id, failed::int[], objects
           FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::int[])
                  AS part (request_id, chunk, batch_id, failed, objects)
           ORDER BY 1, 2 ON CONFLICT DO NOTHING`,
    values: [
      parts.map(({ requestId }) => requestId),
      parts.map(({ chunk = NO_CHUNK }) => chunk),
      parts.map(({ batchId }) => batchId),
      parts.map(({ failed = [] }) => `{${failed.join()}}`),
      parts.map(({ objects }) => objects ?? null),
    ],
  });
}

interface WaitingRow {
  readonly request_id: string;
  readonly chunk: number;
  readonly namespace: string | null;
  readonly accepted_at: string | null;
  readonly stamp: string | null;
  readonly upload: number | null;
  readonly ids: string[] | null;
  readonly positions: number[] | null;
  /** How many of a chunk's ids it waits for. */
  readonly objects: number | null;
}

/**
 * The ids that did not fail, each where it stands last in its request: as in the events of the store. What has been replayed
 * since waits for itself, and has an event of its own.
 */
const READ = `
  SELECT waiting.request_id, waiting.chunk, request.namespace, ${MICROS_OF('request.accepted_at')} AS accepted_at, ${stampOfRow('request')} AS stamp,
         import.upload, coalesce(part.ids, object.ids) AS ids, object.positions, waiting.objects
  FROM inlet.evaluations AS waiting
  LEFT JOIN inlet.requests AS request USING (request_id)
  LEFT JOIN inlet.imports AS import USING (request_id)
  LEFT JOIN inlet.import_chunks AS part USING (request_id, chunk)
  CROSS JOIN LATERAL (
    SELECT jsonb_agg(id ORDER BY position) AS ids, jsonb_agg(position ORDER BY position) AS positions
    FROM (
      SELECT each.id, max(each.position) - 1 AS position
      FROM jsonb_array_elements_text(request.ids) WITH ORDINALITY AS each (id, position)
      WHERE NOT EXISTS (
        SELECT FROM inlet.failed_objects AS refused
        WHERE refused.request_id = request.request_id AND refused.index = each.position - 1
      ) AND each.position - 1 <> ALL (coalesce(waiting.failed, '{}'))
      GROUP BY each.id
    ) AS once
  ) AS object
  WHERE waiting.batch_id = $1
  ORDER BY waiting.request_id, waiting.chunk`;

/** What of a batch waits. A chunk of an upload that doesn't count any more is without objects. */
export async function readWaiting(on: Queryable, batchId: BatchId): Promise<WaitingObjects[]> {
  const rows = await on.query<WaitingRow>({ name: 'read-waiting', text: READ, values: [batchId] });
  const replays = (await readWaitingReplays(on, batchId)).map(
    ({ id, key, ...part }): WaitingObjects => ({ ...part, objects: [{ id, key }], isReplay: true }),
  );
  const parts = rows.map(
    ({ request_id, chunk, namespace, accepted_at, stamp, upload, ids, positions, objects }) => {
      const part = {
        ...{ requestId: request_id, namespace: namespace ?? '' },
        ...{ acceptedAt: Number(accepted_at ?? 0), stamp: Number(stamp ?? 0) },
      };
      if (chunk === NO_CHUNK) {
        const own = (ids ?? []).map((id, i) => ({ id, key: String(positions?.[i] ?? i) }));
        return { ...part, objects: own };
      }
      // Where an object stands in the file isn't known any more.
      const own = (ids ?? []).slice(0, objects ?? undefined);
      return {
        ...{ ...part, chunk },
        objects: own.map((id, i) => ({ id, key: `${upload}_${chunk}_${i}` })),
      };
    },
  );
  return [...parts, ...replays];
}

/** Ends the wait of requests. Ending it again changes nothing. (For chunks, see imports.ts.) */
export async function finishRequests(
  on: Queryable,
  batchId: BatchId,
  requestIds: readonly string[],
): Promise<void> {
  if (requestIds.length === 0) return;
  await on.write({
    name: 'end-wait',
    text: `DELETE FROM inlet.evaluations
           WHERE batch_id = $1 AND request_id = ANY($2) AND chunk = ${NO_CHUNK}`,
    values: [batchId, requestIds],
  });
  await on.write({
    name: 'finish-requests',
    text: `UPDATE inlet.requests
           SET status = CASE failed WHEN 0 THEN 'succeeded' ELSE 'failed' END, completed_at = now()
           WHERE request_id = ANY($1) AND completed_at IS NULL`,
    values: [requestIds],
  });
}

/**
 * The batches that have waited longest.
 * @param forMs only those that have waited so long, in milliseconds
 */
export async function longestWaiting(on: Queryable, forMs: number, limit: number): Promise<BatchId[]> {
  const rows = await on.query<{ batch_id: string }>({
    // In the order of the index: ids rise with time.
    text: `(SELECT DISTINCT batch_id FROM inlet.evaluations
            WHERE created_at < now() - $1 * interval '1 millisecond' ORDER BY batch_id LIMIT $2)
           UNION
           (SELECT DISTINCT batch_id FROM inlet.replay_evaluations
            WHERE created_at < now() - $1 * interval '1 millisecond' ORDER BY batch_id LIMIT $2)
           ORDER BY batch_id LIMIT $2`,
    values: [forMs, limit],
  });
  return rows.map(({ batch_id }) => batch_id);
}

/** How many requests, chunks and replayed objects wait. */
export async function countWaiting(on: Queryable): Promise<number> {
  const [row] = await on.query<{ count: string }>({
    text: `SELECT (SELECT count(*) FROM inlet.evaluations) + (SELECT count(*) FROM inlet.replay_evaluations) AS count`,
  });
  return Number(row?.count ?? 0);
}

/**
 * Whether somebody with an evaluator has looked for what waits.
 * @param schedule the name under which they do
 * @param withinMs how long ago at most, in milliseconds
 */
export async function hasSwept(on: Queryable, schedule: string, withinMs: number): Promise<boolean> {
  const rows = await on.query({
    text: `SELECT FROM inlet.schedules
           WHERE name = $1 AND greatest(due_at, leased_until) > now() - $2 * interval '1 millisecond'`,
    values: [schedule, withinMs],
  });
  return rows.length > 0;
}
