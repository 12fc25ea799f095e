/** Records what became of the requests of batches; part of the transaction that stores their objects. */
import type { Batch, BatchRequest, ImportChunk, ObjectPlace, WriteOrder } from '../domain/batch.ts';
import { orderOf, requestIds } from '../domain/batch.ts';
import { storableText } from '../domain/storable.ts';
import type { Queryable } from '../store/database.ts';
import type { NewWait } from '../store/evaluations.ts';
import { recordEvaluations } from '../store/evaluations.ts';
import { keepFailedObjects } from '../store/failed-objects.ts';
import type { StoredChunk } from '../store/imports.ts';
import { recordChunk } from '../store/imports.ts';
import type { WriteRequest } from '../store/objects.ts';
import type { ObjectKey } from '../store/outputs.ts';
import { deleteOutputs } from '../store/outputs.ts';
import type { StoredRequest } from '../store/requests.ts';
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

/** What `upsertObjects` has to know of the requests of a batch. */
export function writeRequests(batch: Batch): WriteRequest[] {
  const ids = requestIds(batch);
  return batch.requests.map(({ namespace }, position) => ({
    id: ids[position] ?? '',
    namespace,
    ...orderOf(batch),
  }));
}

/** A batch whose objects are stored, but for those that failed. */
interface StoredBatch {
  readonly batch: Batch;
  readonly failed: readonly ObjectPlace[];
}

/** What came of recording a batch. */
interface Recorded {
  /** Whether any of its requests is to be evaluated. */
  readonly waits: boolean;
  /** Those of its requests with failed objects that were not recorded before, when the batch came the first time. */
  readonly fresh: ReadonlySet<string>;
}

/**
 * Records the requests of batches as done and chunks of imports as stored, and applies the schemas that came along.
 * @param evaluates whether requests are done only when their objects have been evaluated
 * @returns for each batch what came of it
 * @throws StaleChunkError where nothing of the batch is to be stored
 */
export async function recordBatches(
  transaction: Queryable,
  batches: readonly StoredBatch[],
  evaluates: boolean,
): Promise<Recorded[]> {
  const parts = batches.map(({ batch, failed }) => ({
    batch,
    requests: doneRequests(batch, failed, evaluates),
  }));
  const whole = parts
    .map(({ batch, requests }) => ({ ...orderOf(batch), requests: withoutChunks(requests) }))
    .filter(({ requests }) => requests.length > 0);
  const rows = whole.length > 0 ? await recordRequests(transaction, whole) : [];
  const isWaiting = new Map(rows.map(({ requestId, waits }) => [requestId, waits]));
  const recorded: Recorded[] = [];
  const allWaiting: NewWait[] = [];
  for (const { batch, requests } of parts) {
    const batchId = batch.id;
    const own = requests.filter(({ id }) => isWaiting.has(id));
    const fresh = new Set(own.map(({ id }) => id));
    const waiting: NewWait[] = own
      .filter(({ id }) => isWaiting.get(id))
      .map(({ id, failures }) => ({ requestId: id, batchId, failed: failures }));
    for (const { namespace, ids, chunk, waits, failures } of requests) {
      // A chunk is alone in its batch, so all that failed is its own.
      if (!chunk) continue;
      const { requestId } = chunk;
      const stored = storedIds(ids, chunk, failures);
      const isNew = await recordImportChunk(transaction, orderOf(batch), namespace, chunk, {
        ids: stored,
        objects: ids.length + chunk.rejected.length,
        failed: failures.length + chunk.rejected.length,
      });
      if (isNew) fresh.add(requestId);
      if (isNew && waits) waiting.push({ requestId, chunk: chunk.chunk, batchId, objects: stored.length });
    }
    allWaiting.push(...waiting);
    recorded.push({ waits: waiting.length > 0, fresh });
  }
  if (allWaiting.length > 0) await recordEvaluations(transaction, allWaiting);
  if (evaluates) await deleteAllOutputs(transaction, batches);
  // Last, because a namespace's settings are one row, which all workers of a busy namespace may want.
  for (const { batch } of batches) await applyBatchSchemas(transaction, batch);
  return recorded;
}

interface DoneRequest extends StoredRequest {
  readonly chunk: ImportChunk | undefined;
  /** The places of its objects that failed. */
  readonly failures: readonly number[];
}

function doneRequests(batch: Batch, failed: readonly ObjectPlace[], evaluates: boolean): DoneRequest[] {
  const ids = requestIds(batch);
  return batch.requests.map((request, position) => {
    const failures = failed.filter((of) => of.request === position).map(({ index }) => index);
    // Deletes, and requests of which nothing was stored, leave nothing to evaluate.
    const waits = evaluates && !request.isDelete && request.ids.length > failures.length;
    return {
      id: ids[position] ?? '',
      namespace: request.namespace,
      ids: request.ids.map(storableText),
      failed: failures.length,
      ...(waits ? { waits } : {}),
      chunk: request.import,
      failures,
    };
  });
}

function withoutChunks(requests: readonly DoneRequest[]): StoredRequest[] {
  return requests.filter(({ chunk }) => !chunk).map(({ chunk: _, failures: __, ...request }) => request);
}

/** Together, because several statements could not go in the order of their key. */
async function deleteAllOutputs(transaction: Queryable, batches: readonly StoredBatch[]): Promise<void> {
  const deleted = batches.flatMap(({ batch }) => batch.requests.filter(({ isDelete }) => isDelete));
  if (deleted.length > 0) await deleteOutputs(transaction, deleted.flatMap(keysOf));
}

async function applyBatchSchemas(transaction: Queryable, batch: Batch): Promise<void> {
  const ids = requestIds(batch);
  const schemas = batch.requests.flatMap(({ namespace, schema }, position) =>
    schema === undefined ? [] : [{ namespace, schema, requestId: ids[position] ?? '' }],
  );
  if (schemas.length > 0) await applySchemas(transaction, orderOf(batch), schemas);
}

function keysOf({ namespace, ids }: BatchRequest): ObjectKey[] {
  return ids.map((id) => ({ namespace, id: storableText(id) }));
}

/** The ids of a chunk's objects that did not fail, each once. @param failures the lines of those that did */
function storedIds(ids: readonly string[], { lines }: ImportChunk, failures: readonly number[]): string[] {
  const failed = new Set(failures);
  return [...new Set(ids.filter((_, i) => !failed.has(lines[i] ?? 0)))];
}

/** @returns false where the chunk was counted before */
async function recordImportChunk(
  transaction: Queryable,
  order: WriteOrder,
  namespace: string,
  { requestId, upload, chunk, rejected }: ImportChunk,
  stored: Pick<StoredChunk, 'ids' | 'objects' | 'failed'>,
): Promise<boolean> {
  if (rejected.length > 0) {
    await keepFailedObjects(
      transaction,
      order,
      rejected.map(({ line, id, text, message }) => ({
        ...{ requestId, index: line, namespace, id, object: text, message },
        sqlState: '',
      })),
    );
  }
  return recordChunk(transaction, { requestId, upload, chunk, ...stored });
}
