/** Accepted objects that Postgres refused: kept with their text and the reason until an operator has seen to them. */
import type { WriteOrder } from '../domain/batch.ts';
import type { Queryable } from './database.ts';
import { TIME_FROM_MICROS } from './sql-time.ts';

export interface FailedObject {
  readonly requestId: string;
  /** Index in its request, from 0; of an import its line number. */
  readonly index: number;
  readonly namespace: string;
  readonly id: string;
  /** Its JSON text as it was sent. */
  readonly object: string;
  /** Empty where it wasn't Postgres that refused it. */
  readonly sqlState: string;
  readonly message: string;
}

/** What a request's answer says of a failed object. */
export interface ObjectFailure {
  readonly index: number;
  readonly id: string;
  readonly message: string;
}

const KEEP = `
  INSERT INTO inlet.failed_objects
    (request_id, index, namespace, id, object, sqlstate, message, accepted_at, stamp, part)
  SELECT *, ${TIME_FROM_MICROS('$8')}, $9::bigint, $10::int
  FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
  ON CONFLICT (request_id, index) DO NOTHING`;

/** Keeps failed objects. What is kept already stays as it is: its batch came a second time. */
export async function keepFailedObjects(
  on: Queryable,
  { acceptedAt, stamp, part }: WriteOrder,
  failed: readonly FailedObject[],
): Promise<void> {
  await on.query({
    text: KEEP,
    values: [
      failed.map(({ requestId }) => requestId),
      failed.map(({ index }) => index),
      failed.map(({ namespace }) => namespace),
      failed.map(({ id }) => id),
      failed.map(({ object }) => object),
      failed.map(({ sqlState }) => sqlState),
      failed.map(({ message }) => message),
      ...[acceptedAt, stamp, part],
    ],
  });
}

const PAGE = 500;

/** The failures of a request in the order of its objects, a page at a time. */
export async function* failurePages(on: Queryable, requestId: string): AsyncGenerator<ObjectFailure[]> {
  let after = -1;
  for (;;) {
    const page = await on.query<{ index: number; id: string; message: string }>({
      name: 'find-failures',
      text: `SELECT index, id, message FROM inlet.failed_objects
             WHERE request_id = $1 AND index > $2 ORDER BY index LIMIT $3`,
      values: [requestId, after, PAGE],
    });
    if (page.length > 0) yield page;
    if (page.length < PAGE) return;
    after = page.at(-1)?.index ?? after;
  }
}
