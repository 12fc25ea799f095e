/** The objects' table. Data goes in and comes out as JSON text: JavaScript would round its numbers. */
import type { WriteOrder } from '../domain/batch.ts';
import type { Queryable } from './database.ts';
import { MICROS_OF, STAMP, stampOfRow, TIME_FROM_MICROS } from './sql-time.ts';

/** A request whose objects are to be written. */
export interface WriteRequest extends WriteOrder {
  readonly id: string;
  readonly namespace: string;
}

/** Objects to be written, in the order in which they were accepted. */
export interface ObjectWrites {
  readonly requests: readonly WriteRequest[];
  /** For each object the position of its request in `requests`. */
  readonly requestOf: readonly number[];
  /** The objects' JSON text in the same order, separated by commas; a delete is the id alone, as a JSON string. */
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
  /** As text: whoever orders by it may be no friend of large numbers. */
  readonly stamp: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}

/** The order of a row's write. Workers of the version before write no stamp and leave that of the former version there. */
const orderOf = (row: string): string => `(${stampOfRow(row)}, ${row}.request_id, coalesce(${row}.part, 0))`;

/**
 * Most objects that one statement writes. What it removes of their history may be a hundred times as many rows, and it has
 * a minute.
 */
const STATEMENT_OBJECTS = 10_000;

/**
 * One statement for all of them, or for as many as it may write:
 *
 * - the objects come as one JSON text, which Postgres parses and takes apart itself, so every digit is kept;
 * - a string among them is the id of an object that is to be deleted: its row stays, with null as its data, so
 *   that a delete has a place in the order like a write;
 * - of several writes of one id the last is kept, because a statement may touch a row only once;
 * - rows are written in the order of their key, also by one statement after the other, so that two workers never wait for
 *   each other in a circle;
 * - a row is replaced only by a write that was accepted later, so that workers need no order among
 *   themselves and a batch that is stored a second time changes nothing.
 *
 * @param overtakes how the order of a write has to compare with that of what is stored
 */
const upsert = (overtakes: '<' | '<='): string => `
  WITH request AS (
    SELECT position - 1 AS position, id, namespace, ${TIME_FROM_MICROS('micros')} AS accepted_at, stamp, part
    FROM ROWS FROM (unnest($3::text[]), unnest($4::text[]), unnest($5::bigint[]), unnest($6::bigint[]), unnest($7::int[]))
           WITH ORDINALITY AS r (id, namespace, micros, stamp, part, position)
  ), object AS (
    SELECT request.namespace COLLATE "C" AS namespace,
           (CASE jsonb_typeof(o.data) WHEN 'string' THEN o.data #>> '{}' ELSE o.data ->> 'id' END)
             COLLATE "C" AS id,
           CASE jsonb_typeof(o.data) WHEN 'string' THEN NULL ELSE o.data END AS data,
           request.accepted_at, request.stamp, request.part, request.id AS request_id, o.position
    FROM ROWS FROM (jsonb_array_elements($1::jsonb), unnest($2::int[]))
           WITH ORDINALITY AS o (data, request, position)
    JOIN request ON request.position = o.request
  ), latest AS (
    SELECT DISTINCT ON (namespace, id) namespace, id, data, accepted_at, stamp, part, request_id
    FROM object
    ORDER BY namespace, id, position DESC
    LIMIT ${STATEMENT_OBJECTS} OFFSET $8
  )
  INSERT INTO inlet.objects AS stored (namespace, id, data, accepted_at, stamp, part, request_id)
  SELECT namespace, id, data, accepted_at, stamp, part, request_id FROM latest
  ON CONFLICT (namespace, id) DO UPDATE SET
    data = excluded.data,
    revision = stored.revision + (
      stored.data IS DISTINCT FROM excluded.data
      -- Numbers that are equal may still be written differently: 1.0 and 1.
      OR stored.data::text IS DISTINCT FROM excluded.data::text
    )::int,
    accepted_at = excluded.accepted_at,
    stamp = excluded.stamp,
    part = excluded.part,
    request_id = excluded.request_id,
    updated_at = now()
  WHERE ${orderOf('stored')} ${overtakes} ${orderOf('excluded')}`;

const UPSERT = upsert('<');

/**
 * Also replaces what its own request has stored: of the writes of one id in a request those that failed are the later
 * ones, because the last that could be stored was.
 */
const UPSERT_REPLAYED = upsert('<=');

/** The parameters of each of the statements that together write all objects. */
function upsertValues({ requests, requestOf, objects }: ObjectWrites): unknown[][] {
  const values = [
    `[${objects}]`,
    `{${requestOf.join()}}`,
    requests.map(({ id }) => id),
    requests.map(({ namespace }) => namespace),
    ...(['acceptedAt', 'stamp', 'part'] as const).map(
      (member) => `{${requests.map((one) => one[member]).join()}}`,
    ),
  ];
  const statements = Math.ceil(requestOf.length / STATEMENT_OBJECTS);
  return Array.from({ length: statements }, (_, i) => [...values, i * STATEMENT_OBJECTS]);
}

/**
 * Writes objects where they are newer than what is stored. More than 10,000 take several statements, so call it in a
 * transaction.
 * @returns how many were written; the others had been overtaken, by what is stored or by a later one among them
 * @throws pg.DatabaseError of kind `data` where Postgres refuses one of them; then none is written
 */
export async function upsertObjects(on: Queryable, writes: ObjectWrites): Promise<number> {
  let written = 0;
  for (const values of upsertValues(writes)) {
    written += await on.write({ name: 'upsert-objects', text: UPSERT, values });
  }
  return written;
}

/**
 * As {@link upsertObjects}.
 * @returns for each object that was written the id of its request
 */
export async function upsertAndTell(on: Queryable, writes: ObjectWrites): Promise<readonly string[]> {
  const text = `${UPSERT} RETURNING request_id`;
  const requestIds: string[] = [];
  for (const values of upsertValues(writes)) {
    const rows = await on.query<{ request_id: string }>({ name: 'upsert-and-tell', text, values });
    for (const { request_id } of rows) requestIds.push(request_id);
  }
  return requestIds;
}

/** Whether an object is stored as a request has written it, or was overtaken. */
export async function hasWritten(
  on: Queryable,
  { id, namespace, acceptedAt, stamp, part }: WriteRequest,
  object: string,
): Promise<boolean> {
  const rows = await on.query({
    name: 'has-written',
    text: `WITH own AS (
             SELECT $1::text AS request_id, ${TIME_FROM_MICROS('$3')} AS accepted_at, $4::bigint AS stamp, $5::int AS part,
                    CASE jsonb_typeof(o) WHEN 'string' THEN o #>> '{}' ELSE o ->> 'id' END COLLATE "C" AS id,
                    CASE jsonb_typeof(o) WHEN 'string' THEN NULL ELSE o END::text AS text
             FROM (SELECT $6::jsonb AS o) AS object
           )
           SELECT FROM own JOIN inlet.objects AS stored ON stored.namespace = $2 AND stored.id = own.id
           WHERE ${orderOf('stored')} > ${orderOf('own')}
              OR ${orderOf('stored')} = ${orderOf('own')} AND stored.data::text IS NOT DISTINCT FROM own.text`,
    values: [id, namespace, acceptedAt, stamp, part, object],
  });
  return rows.length > 0;
}

/** An object that is written once more. */
export interface ReplayedWrite extends WriteOrder {
  readonly namespace: string;
  readonly requestId: string;
  /** Its JSON text; of a delete the id alone, as a JSON string. */
  readonly object: string;
}

/**
 * As {@link upsertObjects}, for objects that had failed.
 * @param writes in the order in which they are to count where they have the same id
 */
export async function upsertReplayed(on: Queryable, writes: readonly ReplayedWrite[]): Promise<number> {
  const statements = upsertValues({
    requests: writes.map((write) => ({ ...write, id: write.requestId })),
    requestOf: writes.map((_, position) => position),
    objects: writes.map(({ object }) => object).join(','),
  });
  let written = 0;
  for (const values of statements) written += await on.write({ text: UPSERT_REPLAYED, values });
  return written;
}

/** What is read of an object beside its data. */
export const OBJECT_FIELDS = `
  id, revision, request_id, ${MICROS_OF('accepted_at')} AS accepted_at, ${STAMP} AS stamp,
  ${MICROS_OF('created_at')} AS created_at, ${MICROS_OF('updated_at')} AS updated_at`;

/** A row of {@link OBJECT_FIELDS} with the data. (bigint comes as text from pg.) */
export type ObjectRow = Record<
  'id' | 'data' | 'revision' | 'request_id' | 'accepted_at' | 'stamp' | 'created_at' | 'updated_at',
  string
>;

export function storedObject(namespace: string, row: ObjectRow): StoredObject {
  return {
    namespace,
    id: row.id,
    data: row.data,
    revision: Number(row.revision),
    requestId: row.request_id,
    acceptedAt: Number(row.accepted_at),
    stamp: row.stamp,
    createdAt: Number(row.created_at),
    updatedAt: Number(row.updated_at),
  };
}

const FIND = `
  SELECT ${OBJECT_FIELDS}, data::text AS data
  FROM inlet.objects
  WHERE namespace = $1 AND id = $2 AND data IS NOT NULL`;

/** Reads one object; undefined when there is none, or when it was deleted. */
export async function findObject(
  on: Queryable,
  namespace: string,
  id: string,
): Promise<StoredObject | undefined> {
  const [row] = await on.query<ObjectRow>({
    name: 'find-object',
    text: FIND,
    values: [namespace, id],
  });
  return row && storedObject(namespace, row);
}
