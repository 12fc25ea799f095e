/**
 * Replayed objects that wait to be evaluated. A row is written in the transaction that stores an object, and deleted in the
 * one that keeps its output.
 */
import type { BatchId } from '../domain/request-id.ts';
import type { Queryable } from './database.ts';
import { MICROS_OF, STAMP, TIME_FROM_MICROS } from './sql-time.ts';

/** A replayed object, by the key that its event has. */
export interface WaitingReplay {
  readonly requestId: string;
  readonly key: string;
  readonly namespace: string;
  readonly id: string;
  /** Microseconds since 1970. */
  readonly acceptedAt: number;
  readonly stamp: number;
}

/** Lets objects wait that a batch has replayed. */
export async function recordReplayEvaluations(
  on: Queryable,
  batchId: BatchId,
  objects: readonly WaitingReplay[],
): Promise<void> {
  await on.write({
    text: `INSERT INTO inlet.replay_evaluations (batch_id, request_id, key, namespace, id, accepted_at, stamp)
           SELECT $1, request_id, key, namespace, id, ${TIME_FROM_MICROS('micros')}, stamp
           FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[])
                  AS o (request_id, key, namespace, id, micros, stamp)
           ON CONFLICT DO NOTHING`,
    values: [
      batchId,
      ...columns(objects),
      objects.map(({ namespace }) => namespace),
      objects.map(({ id }) => id),
      objects.map(({ acceptedAt }) => acceptedAt),
      objects.map(({ stamp }) => stamp),
    ],
  });
}

/** Those of a batch that wait. */
export async function readWaitingReplays(on: Queryable, batchId: BatchId): Promise<WaitingReplay[]> {
  const rows = await on.query<{
    request_id: string;
    key: string;
    namespace: string;
    id: string;
    accepted_at: string;
    stamp: string;
  }>({
    name: 'read-waiting-replays',
    text: `SELECT request_id, key, namespace, id, ${MICROS_OF('accepted_at')} AS accepted_at, ${STAMP} AS stamp
           FROM inlet.replay_evaluations WHERE batch_id = $1 ORDER BY request_id, key`,
    values: [batchId],
  });
  return rows.map(({ request_id, accepted_at, stamp, ...row }) => ({
    ...row,
    stamp: Number(stamp),
    requestId: request_id,
    acceptedAt: Number(accepted_at),
  }));
}

/** Ends the wait of objects. Ending it again changes nothing. */
export async function finishReplayEvaluations(
  on: Queryable,
  batchId: BatchId,
  objects: readonly Pick<WaitingReplay, 'requestId' | 'key'>[],
): Promise<void> {
  if (objects.length === 0) return;
  await on.write({
    text: `DELETE FROM inlet.replay_evaluations AS waiting
           USING unnest($2::text[], $3::text[]) AS done (request_id, key)
           WHERE waiting.batch_id = $1 AND waiting.request_id = done.request_id AND waiting.key = done.key`,
    values: [batchId, ...columns(objects)],
  });
}

function columns(objects: readonly Pick<WaitingReplay, 'requestId' | 'key'>[]): [string[], string[]] {
  return [objects.map(({ requestId }) => requestId), objects.map(({ key }) => key)];
}
