/** Times cross the border to SQL as whole microseconds since 1970: JavaScript's `Date` holds milliseconds only. */

/** SQL for the `timestamptz` of a parameter in microseconds. */
export const TIME_FROM_MICROS = (parameter: string): string =>
  `'epoch'::timestamptz + ${parameter}::bigint * interval '1 microsecond'`;

/** SQL for the microseconds (a bigint) of a `timestamptz` column. */
export const MICROS_OF = (column: string): string => `(extract(epoch FROM ${column}) * 1000000)::bigint`;

/**
 * SQL for the stamp of a row that has the columns `stamp` and `accepted_at`. Rows of versions of Inlet that ordered by
 * `accepted_at` have none, or an older one.
 */
export const STAMP = `greatest(stamp, ${MICROS_OF('accepted_at')})`;

/** {@link STAMP} of one of several tables. */
export function stampOfRow(row: string): string {
  return `greatest(${row}.stamp, ${MICROS_OF(`${row}.accepted_at`)})`;
}
