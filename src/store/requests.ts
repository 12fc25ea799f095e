/**
 * The requests: a row each, written in the transaction that stores their objects. Imports have theirs from the
 * beginning (see imports.ts).
 */
import type { Stamp } from '../domain/batch.ts';
import type { Queryable } from './database.ts';
import { MICROS_OF, STAMP, TIME_FROM_MICROS } from './sql-time.ts';

/** A request was deleted while it was being read: what has been read of it is not all. */
export class RequestGoneError extends Error {
  override readonly name = 'RequestGoneError';
}

/** A request whose objects have been stored, or kept as failed. */
export interface StoredRequest {
  readonly id: string;
  readonly namespace: string;
  /** The ids of its objects in the order of the request. */
  readonly ids: readonly string[];
  /** How many of its objects could not be stored. */
  readonly failed: number;
  /** Its objects are still to be evaluated: it isn't done before. */
  readonly waits?: true;
}

/** What a request may be: imports have a row, and are being uploaded, before they are done. */
export const REQUEST_STATUSES = ['queued', 'uploading', 'ingesting', 'succeeded', 'failed'] as const;
export type RequestStatus = (typeof REQUEST_STATUSES)[number];

/** What is known of a request, on its way or done. Times are microseconds since 1970. */
export interface RequestRecord {
  readonly id: string;
  readonly namespace: string;
  readonly status: RequestStatus;
  /** How many objects it has; of an import that is being uploaded, how many so far. */
  readonly objects: number;
  /** How many of them have been stored, or overtaken by a later write. */
  readonly stored: number;
  /** How many of them could not be stored. */
  readonly failed: number;
  readonly acceptedAt: number;
  /** Undefined of an import whose file has not begun to come. */
  readonly stamp: number | undefined;
  /** Undefined until it is done. */
  readonly completedAt: number | undefined;
  /** Whether its objects came as a file, in chunks. */
  readonly isImport: boolean;
}

/** Requests that were accepted at the same time. */
export interface AcceptedRequests extends Stamp {
  readonly requests: readonly StoredRequest[];
}

const RECORD = `
  INSERT INTO inlet.requests (request_id, namespace, status, accepted_at, stamp, completed_at, ids, objects, failed)
  SELECT r ->> 'id', r ->> 'namespace',
         CASE WHEN r ? 'waits' THEN 'ingesting' ELSE CASE (r ->> 'failed')::int WHEN 0 THEN 'succeeded' ELSE 'failed' END END,
         ${TIME_FROM_MICROS('accepted.micros')}, accepted.stamp, CASE WHEN r ? 'waits' THEN NULL ELSE now() END,
         r -> 'ids', jsonb_array_length(r -> 'ids'), (r ->> 'failed')::int
  FROM ROWS FROM (jsonb_array_elements($1::jsonb), unnest($2::bigint[]), unnest($3::bigint[])) AS accepted (requests, micros, stamp),
       jsonb_array_elements(accepted.requests) AS r
  ON CONFLICT (request_id) DO NOTHING`;

/**
 * Records requests. One that is recorded already stays as it is: its batch came a second time.
 * @returns those that were not recorded before; not asked where none waits and none has failed objects, as of nearly all
 *   batches without an evaluator: the answer would be a row for each request
 */
export async function recordRequests(
  on: Queryable,
  accepted: readonly AcceptedRequests[],
): Promise<{ readonly requestId: string; readonly waits: boolean }[]> {
  const values = [
    JSON.stringify(accepted.map(({ requests }) => requests)),
    accepted.map(({ acceptedAt }) => acceptedAt),
    accepted.map(({ stamp }) => stamp),
  ];
  if (!accepted.some(({ requests }) => requests.some(({ waits, failed }) => waits || failed > 0))) {
    await on.query({ name: 'record-requests', text: RECORD, values });
    return [];
  }
  const rows = await on.query<{ request_id: string; waits: boolean }>({
    name: 'record-requests-and-tell',
    text: `${RECORD} RETURNING request_id, completed_at IS NULL AS waits`,
    values,
  });
  return rows.map(({ request_id, waits }) => ({ requestId: request_id, waits }));
}

const COLUMNS = `
  request_id, namespace, status, greatest(expected, objects) AS objects, objects - failed AS stored, failed,
  ids IS NULL AS is_import,
  ${MICROS_OF('accepted_at')} AS accepted_at, CASE WHEN status = 'queued' THEN NULL ELSE ${STAMP} END AS stamp,
  ${MICROS_OF('completed_at')} AS completed_at`;

interface Row {
  readonly request_id: string;
  readonly namespace: string;
  readonly status: RequestStatus;
  readonly objects: number;
  readonly stored: number;
  readonly failed: number;
  readonly accepted_at: string;
  readonly stamp: string | null;
  readonly completed_at: string | null;
  readonly is_import: boolean;
}

function fromRow(row: Row): RequestRecord {
  return {
    id: row.request_id,
    namespace: row.namespace,
    status: row.status,
    objects: row.objects,
    stored: row.stored,
    failed: row.failed,
    acceptedAt: Number(row.accepted_at),
    stamp: row.stamp === null ? undefined : Number(row.stamp),
    completedAt: row.completed_at === null ? undefined : Number(row.completed_at),
    isImport: row.is_import,
  };
}

/** Reads a request of a namespace; undefined when it has no row, or isn't this namespace's. */
export async function findRequest(
  on: Queryable,
  namespace: string,
  id: string,
): Promise<RequestRecord | undefined> {
  const [row] = await on.query<Row>({
    name: 'find-request',
    text: `SELECT ${COLUMNS} FROM inlet.requests WHERE request_id = $1 AND namespace = $2`,
    values: [id, namespace],
  });
  return row && fromRow(row);
}

/** A stretch of a namespace's requests. */
export interface RequestRange {
  /** Only those with a smaller id. */
  readonly before: string | undefined;
  readonly status: RequestStatus | undefined;
  readonly limit: number;
}

/** Greater than every request id. */
const AFTER_ALL = '~';

/** Reads the rows of a namespace's requests, newest first. */
export async function listRequestRecords(
  on: Queryable,
  namespace: string,
  { before = AFTER_ALL, status, limit }: RequestRange,
): Promise<RequestRecord[]> {
  const rows = await on.query<Row>({
    // Not prepared: for a status that is rare, Postgres has to see which it is to take the index of those.
    text: `SELECT ${COLUMNS} FROM inlet.requests
           WHERE namespace = $1 AND request_id < $2 ${status ? 'AND status = $4' : ''}
           ORDER BY request_id DESC LIMIT $3`,
    values: [namespace, before, limit, ...(status ? [status] : [])],
  });
  return rows.map(fromRow);
}

/** Which of these requests have a row. */
export async function haveRows(on: Queryable, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set();
  const rows = await on.query<{ request_id: string }>({
    text: 'SELECT request_id FROM inlet.requests WHERE request_id = ANY($1)',
    values: [ids],
  });
  return new Set(rows.map(({ request_id }) => request_id));
}
