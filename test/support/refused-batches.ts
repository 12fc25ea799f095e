/** Batches of which Postgres refuses objects, and what is left of them. */
import { ObjectsRefusedError } from '../../src/ingest/store-outcome.ts';
import type { Database } from '../../src/store/database.ts';

/** More often than any code is tried. */
export const OFTEN = 20;

/** The error of a batch of which objects were refused. @throws Error where none was */
export async function refusal(run: Promise<unknown>): Promise<ObjectsRefusedError> {
  const error: unknown = await run.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ObjectsRefusedError)) throw new Error('was not refused', { cause: error });
  return error;
}

/** What is there of a namespace. */
export async function state(database: Database, namespace: string) {
  const column = async (text: string) =>
    (await database.query<{ value: string }>({ text, values: [namespace] })).map(({ value }) => value);
  return {
    ids: await column('SELECT id AS value FROM inlet.objects WHERE namespace = $1 ORDER BY id'),
    requests: await column(
      'SELECT status AS value FROM inlet.requests WHERE namespace = $1 ORDER BY request_id',
    ),
    failed: await column(
      `SELECT id || ' ' || sqlstate AS value FROM inlet.failed_objects WHERE namespace = $1 ORDER BY id`,
    ),
  };
}
