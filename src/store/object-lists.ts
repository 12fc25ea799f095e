/**
 * Lists of objects, a page at a time. An object can have megabytes, so a page ends before its data comes to
 * more than 5 MiB, though never before its first object. How large data is Postgres knows only
 * when it has unpacked and written it out; so a page is walked row by row, and nothing behind its end is read.
 */
import type { Queryable } from './database.ts';
import type { ObjectRow, StoredObject } from './objects.ts';
import { OBJECT_FIELDS, storedObject } from './objects.ts';

/** About how much data an answer may hold, in bytes. */
const PAGE_BYTES = 5 * 1024 * 1024;

/** A part of a list. */
export interface ListPage<Item> {
  readonly items: readonly Item[];
  /** Whether the list goes on behind it. */
  readonly hasMore: boolean;
}

/** A row of a walk, which ends with the first row that doesn't fit into the page any more. */
export interface WalkedRow {
  readonly fits: boolean;
}

/** SQL that tells whether the `n`-th row of a walk, with all `bytes` up to it, belongs to a page of `limit` rows. */
export const FITS = (limit: string): string => `(n = 1 OR (n <= ${limit} AND bytes <= ${PAGE_BYTES}))`;

/** Makes a page out of walked rows. */
export function listPage<Row extends WalkedRow, Item>(
  rows: readonly Row[],
  read: (row: Row) => Item,
): ListPage<Item> {
  const fitting = rows.filter(({ fits }) => fits);
  return { items: fitting.map(read), hasMore: fitting.length < rows.length };
}

type WalkedObject = ObjectRow & WalkedRow;

const NEXT = (condition: string): string => `
  SELECT object.*, data::text AS text
  FROM (
    SELECT * FROM inlet.objects
    WHERE namespace = $1 AND data IS NOT NULL AND ${condition}
    ORDER BY namespace, id
    LIMIT 1
  ) AS object
  OFFSET 0`;

const COLUMNS = 'id, revision, request_id, accepted_at, stamp, created_at, updated_at, text';

const LIST = `
  WITH RECURSIVE page AS (
    (SELECT ${COLUMNS}, octet_length(text)::bigint AS bytes, 1 AS n FROM (${NEXT('id > $2')}) AS first)
    UNION ALL
    SELECT next.id, next.revision, next.request_id, next.accepted_at, next.stamp, next.created_at, next.updated_at, next.text,
           page.bytes + octet_length(next.text), page.n + 1
    FROM page CROSS JOIN LATERAL (${NEXT('id > page.id')}) AS next
    WHERE ${FITS('$3')}
  )
  SELECT ${OBJECT_FIELDS}, ${FITS('$3')} AS fits, CASE WHEN ${FITS('$3')} THEN text END AS data
  FROM page
  ORDER BY n`;

/**
 * Lists the objects of a namespace by id, in byte order; those that were deleted are left out.
 * @param after the id behind which the page begins; an empty one for the first page
 */
export async function listObjects(
  on: Queryable,
  namespace: string,
  after: string,
  limit: number,
): Promise<ListPage<StoredObject>> {
  const values = [namespace, after, limit];
  const rows = await on.query<WalkedObject>({ name: 'list-objects', text: LIST, values });
  return listPage(rows, (row) => storedObject(namespace, row));
}

const FIND_SOME = `
  WITH RECURSIVE page AS (
    SELECT NULL::text COLLATE "C" AS id, NULL::bigint AS revision, NULL::text COLLATE "C" AS request_id,
           NULL::timestamptz AS accepted_at, NULL::bigint AS stamp, NULL::timestamptz AS created_at, NULL::timestamptz AS updated_at,
           NULL::text AS text, 0::bigint AS bytes, 0 AS n, 0 AS position
    UNION ALL
    SELECT next.id, next.revision, next.request_id, next.accepted_at, next.stamp, next.created_at, next.updated_at, next.text,
           page.bytes + coalesce(octet_length(next.text), 0), page.n + (next.id IS NOT NULL)::int, page.position + 1
    FROM page LEFT JOIN LATERAL (${NEXT('id = ($2::text[])[page.position + 1]')}) AS next ON true
    WHERE page.position < cardinality($2::text[]) AND (n = 0 OR ${FITS('n')})
  )
  SELECT ${OBJECT_FIELDS}, ${FITS('n')} AS fits, CASE WHEN ${FITS('n')} THEN text END AS data
  FROM page
  WHERE id IS NOT NULL
  ORDER BY position`;

/**
 * Reads those of some objects that there are, in the order of their ids.
 * @returns a page; it has more where the rest is too large to be read at once
 */
export async function findObjects(
  on: Queryable,
  namespace: string,
  ids: readonly string[],
): Promise<ListPage<StoredObject>> {
  const sorted = [...new Set(ids)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const values = [namespace, sorted];
  const rows = await on.query<WalkedObject>({ name: 'find-objects', text: FIND_SOME, values });
  return listPage(rows, (row) => storedObject(namespace, row));
}
