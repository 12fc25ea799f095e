/** The objects' table. Data goes in and comes out as JSON text: JavaScript would round its numbers. */
import type { Queryable } from './database.ts';
import { MICROS_OF, TIME_FROM_MICROS } from './sql-time.ts';

/** Objects to be written, all accepted at the same time; the arrays run in parallel. */
export interface ObjectWrites {
  /** Microseconds since 1970. */
  readonly acceptedAt: number;
  readonly requests: readonly { readonly id: string; readonly namespace: string }[];
  /** For each object the position of its request in `requests`. */
  readonly requestOf: readonly number[];
  /** The objects' JSON text in the same order, separated by commas. */
  readonly objects: string;
}

/** An object as it is stored. Times are microseconds since 1970. */
export interface StoredObject {
  readonly namespace: string;
  readonly id: string;
  /** JSON text. */
  readonly data: string;
  readonly revision: number;
  readonly requestId: string;
  readonly acceptedAt: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/**
 * One statement for the whole batch:
 *
 * - the objects come as one JSON text, which Postgres parses and takes apart itself, so every digit is kept;
 * - of several writes of one id the last is kept, because a statement may touch a row only once;
 * - rows are written in the order of their key, so that two workers never wait for each other in a circle;
 * - a row is replaced only by a write that was accepted later, so that workers need no order among
 *   themselves and a batch that is stored a second time changes nothing.
 */
const UPSERT = `
  WITH request AS (
    SELECT position - 1 AS position, id, namespace
    FROM ROWS FROM (unnest($3::text[]), unnest($4::text[])) WITH ORDINALITY AS r (id, namespace, position)
  ), object AS (
    SELECT request.namespace COLLATE "C" AS namespace, (o.data ->> 'id') COLLATE "C" AS id,
           o.data, request.id AS request_id, o.position
    FROM ROWS FROM (jsonb_array_elements($1::jsonb), unnest($2::int[]))
           WITH ORDINALITY AS o (data, request, position)
    JOIN request ON request.position = o.request
  ), latest AS (
    SELECT DISTINCT ON (namespace, id) namespace, id, data, request_id
    FROM object
    ORDER BY namespace, id, position DESC
  )
  INSERT INTO inlet.objects AS stored (namespace, id, data, accepted_at, request_id)
  SELECT namespace, id, data, ${TIME_FROM_MICROS('$5')}, request_id FROM latest
  ON CONFLICT (namespace, id) DO UPDATE SET
    data = excluded.data,
    revision = stored.revision + (stored.data IS DISTINCT FROM excluded.data)::int,
    accepted_at = excluded.accepted_at,
    request_id = excluded.request_id,
    updated_at = now()
  WHERE (stored.accepted_at, stored.request_id) < (excluded.accepted_at, excluded.request_id)`;

/**
 * Writes objects where they are newer than what is stored.
 * @throws pg.DatabaseError of kind `data` where Postgres refuses one of them; then none is written
 */
export async function upsertObjects(on: Queryable, writes: ObjectWrites): Promise<void> {
  await on.query({
    name: 'upsert-objects',
    text: UPSERT,
    values: [
      `[${writes.objects}]`,
      `{${writes.requestOf.join()}}`,
      writes.requests.map(({ id }) => id),
      writes.requests.map(({ namespace }) => namespace),
      writes.acceptedAt,
    ],
  });
}

const FIND = `
  SELECT data::text AS data, revision, request_id,
         ${MICROS_OF('accepted_at')} AS accepted_at,
         ${MICROS_OF('created_at')} AS created_at,
         ${MICROS_OF('updated_at')} AS updated_at
  FROM inlet.objects
  WHERE namespace = $1 AND id = $2`;

/** Reads one object; undefined when there is none. */
export async function findObject(
  on: Queryable,
  namespace: string,
  id: string,
): Promise<StoredObject | undefined> {
  // bigint comes as text from pg.
  const [row] = await on.query<{
    data: string;
    revision: string;
    request_id: string;
    accepted_at: string;
    created_at: string;
    updated_at: string;
  }>({ name: 'find-object', text: FIND, values: [namespace, id] });
  if (!row) return undefined;
  return {
    namespace,
    id,
    data: row.data,
    revision: Number(row.revision),
    requestId: row.request_id,
    acceptedAt: Number(row.accepted_at),
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  };
}
