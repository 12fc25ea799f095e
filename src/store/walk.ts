/**
 * Pages that are bounded by what they hold. Postgres knows how large a value is as text only after unpacking it, so a page
 * is read row by row until it is full: nothing behind its end is unpacked, whatever the pages before it were like.
 */

/** What a page is read from: rows that are known by their position, from 1. */
export interface Walk {
  /** CTEs that the rest refers to, each followed by a comma; none unless given. */
  readonly before?: string;
  /** How many rows there are, as SQL. */
  readonly count: string;
  /** The columns of a row, with their types. */
  readonly columns: Readonly<Record<string, string>>;
  /** SELECT of the one row at a position, with these columns. */
  readonly row: (position: string) => string;
  /** Which of the columns count: those that may be large. */
  readonly measured: readonly string[];
  /** The bytes at which a page is full, as SQL. */
  readonly limit: string;
}

/**
 * SQL that defines `page`: the rows in their order, up to the one that fills it, each with its `position` and the `bytes` of
 * all up to it. The row of position 0 is none.
 */
export function walk({ before = '', count, columns, row, measured, limit }: Walk): string {
  const names = Object.keys(columns);
  const bytes = measured.map((name) => `coalesce(octet_length(next.${name}), 0)`).join(' + ');
  return `
  WITH RECURSIVE ${before} page AS (
    SELECT 0 AS position, 0::bigint AS bytes, ${names.map((name) => `NULL::${columns[name]} AS ${name}`).join(', ')}
    UNION ALL
    SELECT page.position + 1, page.bytes + ${bytes}, ${names.map((name) => `next.${name}`).join(', ')}
    FROM page CROSS JOIN LATERAL (${row('(page.position + 1)')} OFFSET 0) AS next
    WHERE page.position < ${count} AND page.bytes < ${limit}
  )`;
}
