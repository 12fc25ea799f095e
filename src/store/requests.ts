/** The requests that are done: a row each, written in the transaction that stores their objects. */
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

/** A request's row. Times are microseconds since 1970. */
export interface RequestRecord extends FinishedRequest {
  readonly status: 'succeeded' | 'failed';
  readonly acceptedAt: number;
  readonly completedAt: number;
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
  SELECT status, ids, failed, ${MICROS_OF('accepted_at')} AS accepted_at, ${MICROS_OF('completed_at')} AS completed_at
  FROM inlet.requests
  WHERE request_id = $1 AND namespace = $2`;

/** Reads a request of a namespace; undefined when it isn't done, or isn't this namespace's. */
export async function findRequest(
  on: Queryable,
  namespace: string,
  id: string,
): Promise<RequestRecord | undefined> {
  const [row] = await on.query<{
    status: 'succeeded' | 'failed';
    ids: string[];
    failed: number;
    accepted_at: string;
    completed_at: string;
  }>({ name: 'find-request', text: FIND, values: [id, namespace] });
  if (!row) return undefined;
  return {
    id,
    namespace,
    status: row.status,
    ids: row.ids,
    failed: row.failed,
    acceptedAt: Number(row.accepted_at),
    completedAt: Number(row.completed_at),
  };
}
