/**
 * The requests: a row each, written in the transaction that stores their objects. Imports have theirs from the
 * beginning (see imports.ts).
 */
import type { Queryable } from './database.ts';
import { MICROS_OF, TIME_FROM_MICROS } from './sql-time.ts';

export interface FinishedRequest {
  readonly id: string;
  readonly namespace: string;
  /** The ids of its objects in the order of the request. */
  readonly ids: readonly string[];
  /** How many of its objects could not be stored. */
  readonly failed: number;
}

export type RecordedStatus = 'queued' | 'uploading' | 'ingesting' | 'succeeded' | 'failed';

/** A request's row. Times are microseconds since 1970. */
export interface RequestRecord {
  readonly id: string;
  readonly namespace: string;
  readonly status: RecordedStatus;
  readonly acceptedAt: number;
  /** Undefined where it isn't done, which only imports can be. */
  readonly completedAt: number | undefined;
  /** The ids of its objects in the order of the request; undefined where it is an import. */
  readonly ids: readonly string[] | undefined;
  /** How many objects it has; of an import that isn't done, how many so far. */
  readonly objects: number;
  /** How many of them could not be stored. */
  readonly failed: number;
}

const RECORD = `
  INSERT INTO inlet.requests (request_id, namespace, status, accepted_at, ids, objects, failed)
  SELECT r ->> 'id', r ->> 'namespace', CASE (r ->> 'failed')::int WHEN 0 THEN 'succeeded' ELSE 'failed' END,
         ${TIME_FROM_MICROS('$2')}, r -> 'ids', jsonb_array_length(r -> 'ids'), (r ->> 'failed')::int
  FROM jsonb_array_elements($1::jsonb) AS r
  ON CONFLICT (request_id) DO NOTHING`;

/** Records requests as done. One that is recorded already stays as it is: its batch came a second time. */
export async function recordRequests(
  on: Queryable,
  acceptedAt: number,
  requests: readonly FinishedRequest[],
): Promise<void> {
  await on.query({ name: 'record-requests', text: RECORD, values: [JSON.stringify(requests), acceptedAt] });
}

const FIND = `
  SELECT status, ids, objects, failed, ${MICROS_OF('accepted_at')} AS accepted_at, ${MICROS_OF('completed_at')} AS completed_at
  FROM inlet.requests
  WHERE request_id = $1 AND namespace = $2`;

/** Reads a request of a namespace; undefined when it has no row, or isn't this namespace's. */
export async function findRequest(
  on: Queryable,
  namespace: string,
  id: string,
): Promise<RequestRecord | undefined> {
  const [row] = await on.query<{
    status: RecordedStatus;
    ids: string[] | null;
    objects: number;
    failed: number;
    accepted_at: string;
    completed_at: string | null;
  }>({ name: 'find-request', text: FIND, values: [id, namespace] });
  if (!row) return undefined;
  return {
    id,
    namespace,
    status: row.status,
    ids: row.ids ?? undefined,
    objects: row.objects,
    failed: row.failed,
    acceptedAt: Number(row.accepted_at),
    completedAt: row.completed_at === null ? undefined : Number(row.completed_at),
  };
}
