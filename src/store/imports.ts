/**
 * Imports: a request from the moment that its upload URL is asked for, whose objects arrive in chunks.
 *
 * Every statement that changes an import locks its row in inlet.imports first. So whoever comes last, the API
 * that tells how many chunks there are or the worker that stores one, sees that all are in and finishes.
 */
import type { Stamp } from '../domain/batch.ts';
import type { BatchId } from '../domain/request-id.ts';
import type { Database, Queryable } from './database.ts';
import { RequestGoneError } from './requests.ts';
import { TIME_FROM_MICROS } from './sql-time.ts';

/** How long an upload that gives no sign of life keeps others from taking its place, in seconds. */
export const UPLOAD_LEASE_SECONDS = 30;

/** Finishing reads all ids of an import; that of a hundred million objects takes minutes. */
const FINISH_TIMEOUT_MS = 900_000;

/** How many chunks are read at once for {@link importIds}; of at most 1,000 objects each. */
const CHUNKS_PER_PAGE = 10;

/** Makes an import that waits for its upload. */
export async function createImport(
  database: Database,
  { requestId, namespace, expiresAt }: { requestId: string; namespace: string; expiresAt: number },
): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.query({
      text: `INSERT INTO inlet.requests (request_id, namespace, status, accepted_at, completed_at, ids, objects)
             VALUES ($1, $2, 'queued', now(), NULL, NULL, 0)`,
      values: [requestId, namespace],
    });
    await transaction.query({
      text: `INSERT INTO inlet.imports (request_id, expires_at) VALUES ($1, ${TIME_FROM_MICROS('$2')})`,
      values: [requestId, expiresAt],
    });
  });
}

/** What came of {@link beginUpload}. */
export type UploadBeginning =
  | { readonly state: 'begun'; readonly upload: number; readonly stamped: Stamp }
  /** There is no such import (any more); one upload is complete already; one is running. */
  | { readonly state: 'unknown' | 'complete' | 'running' };

/**
 * Begins an upload: takes the place of an earlier one that broke off, of which nothing counts any more.
 * @param takeStamp gives what orders the import's writes; asked while nobody else can begin one
 */
export async function beginUpload(
  database: Database,
  requestId: string,
  takeStamp: () => Promise<Stamp>,
): Promise<UploadBeginning> {
  return database.transaction(async (transaction) => {
    const [row] = await transaction.query<{ upload: number; complete: boolean; running: boolean | null }>({
      text: `SELECT upload, chunks IS NOT NULL AS complete,
                    alive_at > now() - interval '${UPLOAD_LEASE_SECONDS} seconds' AS running
             FROM inlet.imports WHERE request_id = $1 FOR UPDATE`,
      values: [requestId],
    });
    if (!row) return { state: 'unknown' };
    if (row.complete) return { state: 'complete' };
    if (row.running) return { state: 'running' };
    const upload = row.upload + 1;
    const stamped = await takeStamp();
    const run = (text: string, ...more: unknown[]) =>
      transaction.query({ text, values: [requestId, ...more] });
    await run(
      `UPDATE inlet.imports SET upload = $2, alive_at = clock_timestamp(), stored_chunks = 0 WHERE request_id = $1`,
      upload,
    );
    await run('DELETE FROM inlet.import_chunks WHERE request_id = $1');
    await run('DELETE FROM inlet.failed_objects WHERE request_id = $1');
    await run('DELETE FROM inlet.evaluations WHERE request_id = $1');
    await run(
      `UPDATE inlet.requests SET status = 'uploading', objects = 0, expected = NULL, failed = 0, accepted_at = ${TIME_FROM_MICROS('$2')}, stamp = $3
       WHERE request_id = $1`,
      ...[stamped.acceptedAt, stamped.stamp],
    );
    return { state: 'begun', upload, stamped };
  });
}

/**
 * Says that an upload goes on. One that was let go of stays so: what says that it goes on may come late.
 * @returns false where it is not the one that counts any more
 */
export async function renewUpload(on: Queryable, requestId: string, upload: number): Promise<boolean> {
  const rows = await on.query({
    text: `UPDATE inlet.imports SET alive_at = now()
           WHERE request_id = $1 AND upload = $2 AND (alive_at IS NOT NULL OR chunks IS NOT NULL) RETURNING 1`,
    values: [requestId, upload],
  });
  return rows.length > 0;
}

/** Lets go of an upload that broke off, so that another can begin at once. */
export async function releaseUpload(on: Queryable, requestId: string, upload: number): Promise<void> {
  await on.query({
    text: 'UPDATE inlet.imports SET alive_at = NULL WHERE request_id = $1 AND upload = $2',
    values: [requestId, upload],
  });
}

/**
 * Says that all chunks of an upload are in the queue, and how many objects they hold. Saying it again changes nothing.
 * @returns how many objects have been stored, or kept as failed, by now; undefined where the upload is not the
 *   one that counts any more
 */
export async function completeUpload(
  database: Database,
  requestId: string,
  upload: number,
  chunks: number,
  objects: number,
): Promise<{ objects: number; failed: number } | undefined> {
  return database.transaction(async (transaction) => {
    const rows = await transaction.query({
      text: `UPDATE inlet.imports SET chunks = $3, alive_at = NULL WHERE request_id = $1 AND upload = $2 RETURNING 1`,
      values: [requestId, upload, chunks],
    });
    if (rows.length === 0) return undefined;
    const [counts] = await transaction.query<{ objects: number; failed: number }>({
      text: `UPDATE inlet.requests
             SET status = CASE status WHEN 'uploading' THEN 'ingesting' ELSE status END, expected = $2
             WHERE request_id = $1 RETURNING objects, failed`,
      values: [requestId, objects],
    });
    await finishIfAllIn(transaction, requestId);
    return counts;
  });
}

/** A chunk of an upload in whose place another has come, or whose request is gone: nothing of it is to be stored. */
export class StaleChunkError extends Error {
  override readonly name = 'StaleChunkError';
}

export interface StoredChunk {
  readonly requestId: string;
  readonly upload: number;
  readonly chunk: number;
  /** The ids of its objects that did not fail, each once. */
  readonly ids: readonly string[];
  readonly objects: number;
  readonly failed: number;
}

/**
 * Counts a chunk, once however often its job is tried. Comes last in the transaction that stores its objects,
 * because no other chunk of the import can do the same until that ends.
 * @returns false where it was counted before
 * @throws StaleChunkError where the transaction must be rolled back
 */
export async function recordChunk(transaction: Queryable, chunk: StoredChunk): Promise<boolean> {
  const { requestId } = chunk;
  const current = await transaction.query({
    name: 'lock-import',
    text: 'SELECT 1 FROM inlet.imports WHERE request_id = $1 AND upload = $2 FOR UPDATE',
    values: [requestId, chunk.upload],
  });
  if (current.length === 0)
    throw new StaleChunkError(`upload ${chunk.upload} of ${requestId} does not count`);
  const recorded = await transaction.query({
    name: 'record-chunk',
    text: `INSERT INTO inlet.import_chunks (request_id, chunk, ids) VALUES ($1, $2, $3::jsonb)
           ON CONFLICT (request_id, chunk) DO NOTHING RETURNING 1`,
    values: [requestId, chunk.chunk, JSON.stringify(chunk.ids)],
  });
  if (recorded.length === 0) return false;
  await transaction.query({
    name: 'count-chunk',
    text: 'UPDATE inlet.imports SET stored_chunks = stored_chunks + 1 WHERE request_id = $1',
    values: [requestId],
  });
  await transaction.query({
    name: 'count-chunk-objects',
    text: 'UPDATE inlet.requests SET objects = objects + $2, failed = failed + $3 WHERE request_id = $1',
    values: [requestId, chunk.objects, chunk.failed],
  });
  return true;
}

/** Whether a chunk was counted. */
export async function hasChunk(
  on: Queryable,
  { requestId, chunk }: Pick<StoredChunk, 'requestId' | 'chunk'>,
): Promise<boolean> {
  const rows = await on.query({
    text: 'SELECT 1 FROM inlet.import_chunks WHERE request_id = $1 AND chunk = $2',
    values: [requestId, chunk],
  });
  return rows.length > 0;
}

/** A chunk of an import whose objects are to be evaluated. */
export interface WaitingChunk {
  readonly requestId: string;
  readonly chunk: number;
  /** The batch that it came with. */
  readonly batchId: BatchId;
}

/** Ends the wait for the evaluation of a chunk, and the import with the last of them. Doing it again changes nothing. */
export async function finishChunkEvaluation(
  database: Database,
  { requestId, chunk, batchId }: WaitingChunk,
): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.query({
      text: 'SELECT 1 FROM inlet.imports WHERE request_id = $1 FOR UPDATE',
      values: [requestId],
    });
    await transaction.query({
      // Another upload may have chunks of the same numbers.
      text: 'DELETE FROM inlet.evaluations WHERE request_id = $1 AND chunk = $2 AND batch_id = $3',
      values: [requestId, chunk, batchId],
    });
    await finishIfAllIn(transaction, requestId);
  });
}

/** Finishes an import once all of its chunks are in, and evaluated where that is to be; does nothing before, and nothing more after. */
export async function finishImport(database: Database, requestId: string): Promise<void> {
  const [row] = await database.query({
    name: 'is-import-in',
    text: 'SELECT 1 FROM inlet.imports WHERE request_id = $1 AND chunks = stored_chunks',
    values: [requestId],
  });
  if (row) await database.transaction((transaction) => finishIfAllIn(transaction, requestId));
}

/**
 * Leaves each id in the first of the chunks that list it; within a chunk there is each only once. Done when all
 * are in, and not with an index on the ids, which every chunk would pay for.
 */
const LIST_IDS_ONCE = `
  WITH listed AS (
    SELECT chunk, i.id COLLATE "C" AS id, i.position
    FROM inlet.import_chunks, jsonb_array_elements_text(ids) WITH ORDINALITY AS i (id, position)
    WHERE request_id = $1
  ), repeated AS (
    SELECT id, min(chunk) AS first FROM listed GROUP BY id HAVING count(*) > 1
  ), kept AS (
    SELECT listed.chunk,
           coalesce(jsonb_agg(id ORDER BY position) FILTER (WHERE first IS NULL OR first = listed.chunk), '[]') AS ids
    FROM listed LEFT JOIN repeated USING (id)
    WHERE chunk IN (SELECT chunk FROM listed JOIN repeated USING (id) WHERE chunk > first)
    GROUP BY listed.chunk
  )
  UPDATE inlet.import_chunks SET ids = kept.ids
  FROM kept
  WHERE import_chunks.request_id = $1 AND import_chunks.chunk = kept.chunk`;

async function finishIfAllIn(transaction: Queryable, requestId: string): Promise<void> {
  const [row] = await transaction.query({
    text: `SELECT 1 FROM inlet.imports WHERE request_id = $1 AND chunks = stored_chunks FOR UPDATE`,
    values: [requestId],
  });
  if (!row) return;
  const done = await transaction.query({
    // What waits to be evaluated is looked at here, under the lock, and not above, before it.
    text: `UPDATE inlet.requests
           SET status = CASE failed WHEN 0 THEN 'succeeded' ELSE 'failed' END, completed_at = now()
           WHERE request_id = $1 AND completed_at IS NULL
             AND NOT EXISTS (SELECT FROM inlet.evaluations WHERE evaluations.request_id = $1)
           RETURNING 1`,
    values: [requestId],
  });
  if (done.length === 0) return;
  await transaction.query({ text: LIST_IDS_ONCE, values: [requestId], timeoutMs: FINISH_TIMEOUT_MS });
}

/**
 * The ids of an import's objects that did not fail, page by page in the order of the file. Of an import that is
 * done each id comes once.
 * @throws RequestGoneError where the import is deleted before the last of them
 */
export async function* importIds(on: Queryable, requestId: string): AsyncGenerator<string[]> {
  for (let after = -1; ; ) {
    // A row without a chunk where no more are left, and none where the import is gone.
    const rows = await on.query<{ chunk: number; ids: string[] } | { chunk: null; ids: null }>({
      name: 'import-ids',
      text: `SELECT page.* FROM inlet.imports LEFT JOIN (
               SELECT chunk, ids FROM inlet.import_chunks
               WHERE request_id = $1 AND chunk > $2 ORDER BY chunk LIMIT ${CHUNKS_PER_PAGE}
             ) AS page ON true
             WHERE request_id = $1 ORDER BY page.chunk`,
      values: [requestId, after],
    });
    const last = rows.at(-1);
    if (!last) throw new RequestGoneError(`import ${requestId} is gone`);
    if (last.chunk === null) return;
    yield rows.flatMap(({ ids }) => ids ?? []);
    after = last.chunk;
  }
}

/** How many chunks one statement counts: their ids have to be unpacked, and an import may have millions. */
const CHUNKS_PER_COUNT = 5_000;

/** How many ids {@link importIds} has. */
export async function countImportIds(on: Queryable, requestId: string): Promise<number> {
  let total = 0;
  for (let from = 0; ; from += CHUNKS_PER_COUNT) {
    const [row] = await on.query<{ chunks: number; ids: string }>({
      name: 'count-import-ids',
      text: `SELECT count(*)::int AS chunks, coalesce(sum(jsonb_array_length(ids)), 0) AS ids
             FROM inlet.import_chunks WHERE request_id = $1 AND chunk >= $2 AND chunk < $3`,
      values: [requestId, from, from + CHUNKS_PER_COUNT],
    });
    total += Number(row?.ids ?? 0);
    if ((row?.chunks ?? 0) < CHUNKS_PER_COUNT) return total;
  }
}
