/** Records what became of a batch's requests; part of the transaction that stores their objects. */
import type { Batch, ImportChunk, ObjectPlace } from '../domain/batch.ts';
import { requestIds } from '../domain/batch.ts';
import { storableText } from '../domain/storable.ts';
import type { Queryable } from '../store/database.ts';
import { keepFailedObjects } from '../store/failed-objects.ts';
import { recordChunk } from '../store/imports.ts';
import { recordRequests } from '../store/requests.ts';
import { applySchemas } from '../store/settings.ts';

/** What came of a batch's objects. */
export interface Stored {
  readonly stored: number;
  readonly failed: number;
  /** The endpoints that may have got events. */
  readonly endpointIds: readonly string[];
}

/** What `upsertObjects` has to know of a batch beside its objects. */
export function writeContext(batch: Batch) {
  const ids = requestIds(batch);
  return {
    acceptedAt: batch.acceptedAt,
    requests: batch.requests.map(({ namespace }, position) => ({ id: ids[position] ?? '', namespace })),
  };
}

/**
 * Records the requests of a batch as done and chunks of imports as stored, and applies the schemas that came along.
 * @param failed the objects that could not be stored
 * @throws StaleChunkError where nothing of the batch is to be stored
 */
export async function recordBatch(
  transaction: Queryable,
  batch: Batch,
  failed: readonly ObjectPlace[],
): Promise<void> {
  const ids = requestIds(batch);
  const requests = batch.requests.map((request, position) => ({
    id: ids[position] ?? '',
    namespace: request.namespace,
    ids: request.ids.map(storableText),
    failed: failed.filter((of) => of.request === position).length,
    chunk: request.import,
  }));
  const whole = requests.filter(({ chunk }) => !chunk).map(({ chunk: _, ...request }) => request);
  if (whole.length > 0) await recordRequests(transaction, batch.acceptedAt, whole);
  for (const { namespace, ids: chunkIds, chunk } of requests) {
    // A chunk is alone in its batch, so all that failed is its own.
    if (chunk)
      await recordImportChunk(transaction, batch.acceptedAt, { namespace, ids: chunkIds, chunk, failed });
  }
  // Last, because a namespace's settings are one row, which all workers of a busy namespace may want.
  const schemas = batch.requests.flatMap(({ namespace, schema }, position) =>
    schema === undefined ? [] : [{ namespace, schema, requestId: ids[position] ?? '' }],
  );
  if (schemas.length > 0) await applySchemas(transaction, batch.acceptedAt, schemas);
}

async function recordImportChunk(
  transaction: Queryable,
  acceptedAt: number,
  {
    namespace,
    ids,
    chunk,
    failed,
  }: {
    readonly namespace: string;
    readonly ids: readonly string[];
    readonly chunk: ImportChunk;
    readonly failed: readonly ObjectPlace[];
  },
): Promise<void> {
  const { requestId, lines, rejected } = chunk;
  if (rejected.length > 0) {
    await keepFailedObjects(
      transaction,
      acceptedAt,
      rejected.map(({ line, id, text, message }) => ({
        ...{ requestId, index: line, namespace, id, object: text, message },
        sqlState: '',
      })),
    );
  }
  const failedLines = new Set(failed.map(({ index }) => index));
  await recordChunk(transaction, {
    requestId,
    upload: chunk.upload,
    chunk: chunk.chunk,
    ids: [...new Set(ids.filter((_, i) => !failedLines.has(lines[i] ?? 0)))],
    objects: ids.length + rejected.length,
    failed: failed.length + rejected.length,
  });
}
