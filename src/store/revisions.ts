/**
 * The versions of an object: the one that counts is in the table of objects, those that it has overwritten are
 * copied by a trigger into the table of revisions (`migrations/0004_history.sql`).
 */
import type { Queryable } from './database.ts';
import type { ListPage, WalkedRow } from './object-lists.ts';
import { FITS, listPage } from './object-lists.ts';
import { MICROS_OF, stampOfRow } from './sql-time.ts';

/** A version of an object. Times are microseconds since 1970. */
export interface Revision {
  readonly revision: number;
  /** JSON text; null: in this version the object is deleted. */
  readonly data: string | null;
  readonly requestId: string;
  readonly acceptedAt: number;
  readonly stamp: string;
  readonly updatedAt: number;
}

type RevisionRow = WalkedRow &
  Record<'revision' | 'request_id' | 'accepted_at' | 'stamp' | 'updated_at', string> & {
    readonly data: string | null;
  };

const OLDER = (condition: string): string => `
  SELECT version.*, data::text AS text
  FROM (
    SELECT revision, data, request_id, accepted_at, stamp, stored_at
    FROM inlet.revisions
    WHERE namespace = $1 AND id = $2 AND ${condition}
    ORDER BY namespace DESC, id DESC, revision DESC
    LIMIT 1
  ) AS version
  OFFSET 0`;

/** Joined to the object's row, so that no row at all means that the id was never seen. */
const LIST = `
  WITH RECURSIVE page AS (
    (
      SELECT revision, request_id, accepted_at, stamp, updated_at, text,
             coalesce(octet_length(text), 0)::bigint AS bytes, 1 AS n
      FROM (
        SELECT *, data::text AS text
        FROM inlet.objects
        WHERE namespace = $1 AND id = $2 AND $3::bigint IS NULL
        OFFSET 0
      ) AS current
      UNION ALL
      SELECT revision, request_id, accepted_at, stamp, stored_at, text, coalesce(octet_length(text), 0), 1
      FROM (${OLDER('revision < $3')}) AS first
    )
    UNION ALL
    SELECT next.revision, next.request_id, next.accepted_at, next.stamp, next.stored_at, next.text,
           page.bytes + coalesce(octet_length(next.text), 0), page.n + 1
    FROM page CROSS JOIN LATERAL (${OLDER('revision < page.revision')}) AS next
    WHERE ${FITS('$4')}
  )
  SELECT page.revision, page.request_id, ${MICROS_OF('page.accepted_at')} AS accepted_at,
         ${stampOfRow('page')} AS stamp,
         ${MICROS_OF('page.updated_at')} AS updated_at,
         ${FITS('$4')} AS fits, CASE WHEN ${FITS('$4')} THEN text END AS data
  FROM inlet.objects AS object LEFT JOIN page ON true
  WHERE object.namespace = $1 AND object.id = $2
  ORDER BY n`;

/**
 * Lists the versions of an object, the newest first; of a deleted one too.
 * @param before the revision behind which the page begins; undefined for the first page
 * @returns undefined where nothing was ever stored or deleted under this id
 */
export async function listRevisions(
  on: Queryable,
  namespace: string,
  id: string,
  before: number | undefined,
  limit: number,
): Promise<ListPage<Revision> | undefined> {
  const rows = await on.query<RevisionRow>({
    name: 'list-revisions',
    text: LIST,
    values: [namespace, id, before ?? null, limit],
  });
  if (rows.length === 0) return undefined;
  return listPage(
    rows.filter(({ revision }) => revision !== null),
    (row) => ({
      revision: Number(row.revision),
      data: row.data,
      requestId: row.request_id,
      acceptedAt: Number(row.accepted_at),
      stamp: row.stamp,
      updatedAt: Number(row.updated_at),
    }),
  );
}
