/** The failed objects of a namespace, as they are listed, shown, counted and discarded. Discarded ones are in none of it. */
import type { Queryable } from './database.ts';
import { MICROS_OF, TIME_FROM_MICROS } from './sql-time.ts';

/** Which failed objects are meant. Times are microseconds since 1970 on the database's clock. */
export interface FailedScope {
  readonly namespace: string;
  /** Those of this request. */
  readonly requestId?: string | undefined;
  /** The one at this place of it. */
  readonly index?: number | undefined;
  /** Those that were last tried before this. */
  readonly failedBefore?: number | undefined;
  /** Those that were last tried at this time or later. */
  readonly failedSince?: number | undefined;
  /** Whether Postgres has refused them; Inlet's own refusals can't be replayed. */
  readonly replayable?: boolean | undefined;
}

/** A place in a list. */
export interface FailedPlace {
  readonly requestId: string;
  readonly index: number;
}

/** A failed object without its text. */
export interface FailedEntry extends FailedPlace {
  /** Empty where it has none that is valid. */
  readonly id: string;
  /** Whether it is the deletion of an object. */
  readonly isDelete: boolean;
  /** Empty where Inlet has refused it, and not Postgres: a line of a file. */
  readonly sqlState: string;
  readonly message: string;
  /** How often it was tried. */
  readonly attempts: number;
  /** Size of its text. */
  readonly bytes: number;
  readonly acceptedAt: number;
  /** When it was last tried. */
  readonly failedAt: number;
}

interface Row {
  readonly request_id: string;
  readonly index: number;
  readonly id: string;
  readonly is_delete: boolean;
  readonly sqlstate: string;
  readonly message: string;
  readonly attempts: number;
  readonly bytes: number;
  readonly accepted_at: string;
  readonly failed_at: string;
}

/** A delete stands there as the JSON string of its id. */
const FIELDS = `
  request_id, index, id, sqlstate <> '' AND substr(object, 1, 1) = '"' AS is_delete, sqlstate, message, attempts,
  octet_length(object) AS bytes, ${MICROS_OF('accepted_at')} AS accepted_at, ${MICROS_OF('failed_at')} AS failed_at`;

function fromRow(row: Row): FailedEntry {
  return {
    requestId: row.request_id,
    index: row.index,
    id: row.id,
    isDelete: row.is_delete,
    sqlState: row.sqlstate,
    message: row.message,
    attempts: row.attempts,
    bytes: row.bytes,
    acceptedAt: Number(row.accepted_at),
    failedAt: Number(row.failed_at),
  };
}

/** SQL for a scope, and the values of its parameters, to which more may be added. */
function conditions(scope: FailedScope): { readonly where: string; readonly values: unknown[] } {
  const values: unknown[] = [scope.namespace];
  const parts = ['namespace = $1', 'discarded_at IS NULL'];
  const add = (value: unknown, condition: (parameter: string) => string): void => {
    if (value === undefined) return;
    values.push(value);
    parts.push(condition(`$${values.length}`));
  };
  add(scope.requestId, (it) => `request_id = ${it}`);
  add(scope.index, (it) => `index = ${it}`);
  add(scope.failedBefore, (it) => `failed_at < ${TIME_FROM_MICROS(it)}`);
  add(scope.failedSince, (it) => `failed_at >= ${TIME_FROM_MICROS(it)}`);
  add(scope.replayable, (it) => `(sqlstate <> '') = ${it}`);
  return { where: parts.join(' AND '), values };
}

/**
 * SQL for a stretch of the list: the newest request first, and its objects in their order.
 * @param after the place behind which it begins
 */
export function stretch(
  fields: string,
  scope: FailedScope,
  after: FailedPlace | undefined,
  limit: number,
): { readonly text: string; readonly values: readonly unknown[] } {
  const { where, values } = conditions(scope);
  const parameter = (value: unknown): string => `$${values.push(value)}`;
  const rows = parameter(limit);
  const order = `ORDER BY request_id DESC, index LIMIT ${rows}`;
  const select = (condition: string): string =>
    `(SELECT ${fields} FROM inlet.failed_objects WHERE ${where}${condition} ${order})`;
  if (!after) return { text: select(''), values };
  const request = parameter(after.requestId);
  // Two ranges of the index: one condition on both columns, of which one goes down and the other up, would be none.
  const rest = select(` AND request_id = ${request} AND index > ${parameter(after.index)}`);
  return { text: `${rest} UNION ALL ${select(` AND request_id < ${request}`)} ${order}`, values };
}

/** Reads a stretch of the list. */
export async function listFailed(
  on: Queryable,
  scope: FailedScope,
  after: FailedPlace | undefined,
  limit: number,
): Promise<FailedEntry[]> {
  return (await on.query<Row>(stretch(FIELDS, scope, after, limit))).map(fromRow);
}

/** Reads one with its text as it was sent; undefined where there is none at this place. */
export async function findFailed(
  on: Queryable,
  namespace: string,
  { requestId, index }: FailedPlace,
): Promise<(FailedEntry & { readonly text: string }) | undefined> {
  const [row] = await on.query<Row & { text: string }>(
    stretch(`${FIELDS}, object AS text`, { namespace, requestId, index }, undefined, 1),
  );
  return row && { ...fromRow(row), text: row.text };
}

/** Counts them, and tells at what time of the database that was. */
export async function countFailed(
  on: Queryable,
  scope: FailedScope,
): Promise<{ readonly replayable: number; readonly refused: number; readonly at: number }> {
  const { where, values } = conditions(scope);
  const [row] = await on.query<{ replayable: number; refused: number; at: string }>({
    text: `SELECT count(*) FILTER (WHERE sqlstate <> '')::int AS replayable,
                  count(*) FILTER (WHERE sqlstate = '')::int AS refused,
                  ${MICROS_OF('clock_timestamp()')} AS at
           FROM inlet.failed_objects WHERE ${where}`,
    values,
  });
  return { replayable: row?.replayable ?? 0, refused: row?.refused ?? 0, at: Number(row?.at ?? 0) };
}

/** Most that are counted for {@link countAllFailed}: more are as bad. */
const MAX_COUNTED = 100_000;

/** How many there are in all namespaces together. Only the index is read, and not all of it where they are very many. */
export async function countAllFailed(on: Queryable): Promise<number> {
  const [row] = await on.query<{ count: number }>({
    name: 'count-all-failed',
    text: `SELECT count(*)::int AS count
           FROM (SELECT FROM inlet.failed_objects WHERE discarded_at IS NULL LIMIT ${MAX_COUNTED}) AS kept`,
  });
  return row?.count ?? 0;
}

/**
 * Discards them: they are listed no more, and their text is gone.
 * @param limit how many at most
 * @returns how many
 */
export async function discardFailed(on: Queryable, scope: FailedScope, limit: number): Promise<number> {
  const { where, values } = conditions(scope);
  return on.write({
    text: `WITH unwanted AS (
             SELECT request_id, index FROM inlet.failed_objects WHERE ${where}
             ORDER BY request_id, index LIMIT $${values.push(limit)} FOR UPDATE
           )
           UPDATE inlet.failed_objects AS failed SET discarded_at = now(), object = ''
           FROM unwanted WHERE failed.request_id = unwanted.request_id AND failed.index = unwanted.index`,
    values,
  });
}

/** Whether what failed at this place has been discarded. */
export async function isDiscarded(
  on: Queryable,
  namespace: string,
  { requestId, index }: FailedPlace,
): Promise<boolean> {
  const rows = await on.query({
    text: `SELECT 1 FROM inlet.failed_objects
           WHERE namespace = $1 AND request_id = $2 AND index = $3 AND discarded_at IS NOT NULL`,
    values: [namespace, requestId, index],
  });
  return rows.length > 0;
}
