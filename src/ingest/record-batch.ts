/** Records what became of a batch's requests; part of the transaction that stores their objects. */
import type { Batch, BatchRequest, ImportChunk, ObjectPlace } from '../domain/batch.ts';
import { requestIds } from '../domain/batch.ts';
import { storableText } from '../domain/storable.ts';
import type { Queryable } from '../store/database.ts';
import type { WaitingPart } from '../store/evaluations.ts';
import { recordEvaluations } from '../store/evaluations.ts';
import { keepFailedObjects } from '../store/failed-objects.ts';
import { recordChunk } from '../store/imports.ts';
import type { ObjectKey } from '../store/outputs.ts';
import { deleteOutputs } from '../store/outputs.ts';
import { recordRequests } from '../store/requests.ts';
import { applySchemas } from '../store/settings.ts';

/** What came of a batch's objects. */
export interface Stored {
  readonly stored: number;
  readonly failed: number;
  /** Whether any of its requests is to be evaluated before it is done. */
  readonly waits: boolean;
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
 * @param evaluates whether requests are done only when their objects have been evaluated
 * @returns whether any is to be evaluated; and which of those with failed objects were not recorded before, when the
 *   batch came the first time
 * @throws StaleChunkError where nothing of the batch is to be stored
 */
export async function recordBatch(
  transaction: Queryable,
  batch: Batch,
  failed: readonly ObjectPlace[],
  evaluates: boolean,
): Promise<{ readonly waits: boolean; readonly fresh: ReadonlySet<string> }> {
  const ids = requestIds(batch);
  const requests = batch.requests.map((request, position) => {
    const failures = failed.filter((of) => of.request === position).length;
    // Deletes, and requests of which nothing was stored, leave nothing to evaluate.
    const waits = evaluates && !request.isDelete && request.ids.length > failures;
    return {
      id: ids[position] ?? '',
      namespace: request.namespace,
      ids: request.ids.map(storableText),
      failed: failures,
      ...(waits ? { waits } : {}),
      chunk: request.import,
    };
  });
  const whole = requests.filter(({ chunk }) => !chunk).map(({ chunk: _, ...request }) => request);
  const recorded = whole.length > 0 ? await recordRequests(transaction, batch.acceptedAt, whole) : [];
  const fresh = new Set(recorded.map(({ requestId }) => requestId));
  const waiting: WaitingPart[] = recorded
    .filter((request) => request.waits)
    .map(({ requestId }) => ({ requestId }));
  for (const { namespace, ids: chunkIds, chunk, waits } of requests) {
    // A chunk is alone in its batch, so all that failed is its own.
    if (!chunk) continue;
    const isNew = await recordImportChunk(transaction, batch.acceptedAt, {
      ...{ namespace, ids: chunkIds, chunk, failed },
    });
    if (isNew) fresh.add(chunk.requestId);
    if (isNew && waits) waiting.push({ requestId: chunk.requestId, chunk: chunk.chunk });
  }
  if (waiting.length > 0) await recordEvaluations(transaction, batch.id, waiting);
  const deleted = batch.requests.filter(({ isDelete }) => isDelete);
  if (evaluates && deleted.length > 0) await deleteOutputs(transaction, deleted.flatMap(keysOf));
  // Last, because a namespace's settings are one row, which all workers of a busy namespace may want.
  const schemas = batch.requests.flatMap(({ namespace, schema }, position) =>
    schema === undefined ? [] : [{ namespace, schema, requestId: ids[position] ?? '' }],
  );
  if (schemas.length > 0) await applySchemas(transaction, batch.acceptedAt, schemas);
  return { waits: waiting.length > 0, fresh };
}

function keysOf({ namespace, ids }: BatchRequest): ObjectKey[] {
  return ids.map((id) => ({ namespace, id: storableText(id) }));
}

/** @returns false where the chunk was counted before */
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
): Promise<boolean> {
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
  return recordChunk(transaction, {
    requestId,
    upload: chunk.upload,
    chunk: chunk.chunk,
    ids: [...new Set(ids.filter((_, i) => !failedLines.has(lines[i] ?? 0)))],
    objects: ids.length + rejected.length,
    failed: failed.length + rejected.length,
  });
}
