/** Stores batches: everything that comes of one is in one transaction, and several may share it. */
import type { Batch, ObjectPlace } from '../domain/batch.ts';
import { objectPlaces } from '../domain/batch.ts';
import type { Database, Queryable } from '../store/database.ts';
import { faultKind } from '../store/faults.ts';
import { finishImport, StaleChunkError } from '../store/imports.ts';
import type { WriteRequest } from '../store/objects.ts';
import { upsertAndTell, upsertObjects } from '../store/objects.ts';
import { storing } from '../store/webhook-outbox.ts';
import { writeEvents } from './batch-events.ts';
import type { Stored } from './record-batch.ts';
import { recordBatches, writeRequests } from './record-batch.ts';
import { storeIsolated } from './store-isolated.ts';
import type { StoreObserver, StoreOutcome } from './store-outcome.ts';
import { isReplay, storeReplay } from './store-replay.ts';
import { wasStored } from './stored-before.ts';

/** Of a batch that was stored before, and of a chunk that doesn't count any more. */
const NOTHING: StoreOutcome = { requests: 0, objects: 0, stored: 0, overtaken: 0, failed: 0 };

interface StoreOptions {
  readonly onProgress: () => void;
  readonly evaluates: boolean;
}

/**
 * Stores the objects of a batch and records its requests as done, or replays what the batch says. Doing it again
 * changes nothing.
 * @throws pg.DatabaseError or StoreUnavailableError where nothing of the batch was stored; `faultKind` tells
 *   what to do
 */
export async function storeBatch(
  database: Database,
  batch: Batch,
  observer: StoreObserver = {},
): Promise<StoreOutcome> {
  if (isReplay(batch)) return storeReplay(database, batch, observer);
  try {
    // What of it has failed then may have been stored or discarded since: that is for a replay to say.
    const outcome =
      batch.isRetried && (await wasStored(database, batch))
        ? NOTHING
        : await storeOne(database, batch, observer);
    // Also where the chunk was stored before: the worker may have died in between.
    for (const { import: chunk } of batch.requests) {
      if (chunk) await finishImport(database, chunk.requestId);
    }
    return outcome;
  } catch (error) {
    if (error instanceof StaleChunkError) return NOTHING;
    throw error;
  }
}

async function storeOne(database: Database, batch: Batch, observer: StoreObserver): Promise<StoreOutcome> {
  const options = storeOptions(observer);
  const stored = await storeWhole(database, [batch], options).catch(async (error: unknown) => {
    if (faultKind(error) !== 'data') throw error;
    options.onProgress();
    return [await storeIsolated(database, batch, objectPlaces(batch), options)];
  });
  return tell([batch], stored, observer)[0] ?? NOTHING;
}

/**
 * Whether a batch may share a transaction. Chunks of imports are large enough, replays take several transactions, what is
 * retried is looked up first, and settings are rows that all workers may want: two transactions could wait for each other's.
 */
export function canShare(batch: Batch): boolean {
  if (batch.isRetried || isReplay(batch)) return false;
  return batch.requests.every((request) => !request.import && request.schema === undefined);
}

/**
 * As {@link storeBatch}, for batches that {@link canShare}, in one transaction.
 * @returns what became of each
 * @throws as {@link storeBatch}, and pg.DatabaseError of kind `data`: then each has to be stored on its own
 */
export async function storeTogether(
  database: Database,
  batches: readonly Batch[],
  observer: StoreObserver = {},
): Promise<StoreOutcome[]> {
  const inOrder = batches.toSorted(byOrder);
  const outcomes = tell(inOrder, await storeWhole(database, inOrder, storeOptions(observer)), observer);
  return batches.map((batch) => outcomes[inOrder.indexOf(batch)] ?? NOTHING);
}

/** In the order of their writes. */
function byOrder(a: Batch, b: Batch): number {
  if (a.acceptedAt !== b.acceptedAt) return a.acceptedAt - b.acceptedAt;
  return a.id < b.id ? -1 : 1;
}

function storeOptions({ onProgress = () => undefined, onWaiting }: StoreObserver): StoreOptions {
  return { onProgress, evaluates: onWaiting !== undefined };
}

/** Tells what is committed. @returns what became of each batch */
function tell(
  batches: readonly Batch[],
  stored: readonly Stored[],
  { onEvents, onWaiting }: StoreObserver,
): StoreOutcome[] {
  const endpointIds = [...new Set(stored.flatMap((one) => one.endpointIds))];
  if (endpointIds.length > 0) onEvents?.(endpointIds);
  batches.forEach(({ id }, i) => {
    if (stored[i]?.waits) onWaiting?.(id);
  });
  return batches.map((batch, i) => outcomeOf(batch, stored[i] ?? { stored: 0, failed: 0 }));
}

function outcomeOf({ requests }: Batch, { stored, failed }: Pick<Stored, 'stored' | 'failed'>): StoreOutcome {
  const objects = requests.reduce((sum, { ids }) => sum + ids.length, 0);
  const rejected = requests.reduce((sum, { import: chunk }) => sum + (chunk?.rejected.length ?? 0), 0);
  return {
    requests: requests.length,
    objects: objects + rejected,
    stored,
    overtaken: objects - stored - failed,
    failed: failed + rejected,
  };
}

/** Stores all objects of batches, which are in the order of their writes, or none. */
function storeWhole(
  database: Database,
  batches: readonly Batch[],
  { onProgress, evaluates }: StoreOptions,
): Promise<Stored[]> {
  const places = batches.map(objectPlaces);
  return storing(database, async (transaction, subscriptions) => {
    const written = await upsertBatches(transaction, batches, places);
    onProgress();
    const recorded = await recordBatches(
      transaction,
      batches.map((batch) => ({ batch, failed: [] })),
      evaluates,
    );
    onProgress();
    const stored: Stored[] = [];
    for (const [i, batch] of batches.entries()) {
      const own = places[i] ?? [];
      const endpointIds = await writeEvents(transaction, subscriptions, batch, own, [], evaluates);
      onProgress();
      stored.push({ stored: written[i] ?? 0, failed: 0, waits: recorded[i]?.waits ?? false, endpointIds });
    }
    return stored;
  });
}

/** @returns how many objects of each batch were written */
async function upsertBatches(
  transaction: Queryable,
  batches: readonly Batch[],
  places: readonly (readonly ObjectPlace[])[],
): Promise<number[]> {
  const requests: WriteRequest[] = [];
  const requestOf: number[] = [];
  const batchOf = new Map<string, number>();
  batches.forEach((batch, i) => {
    const first = requests.length;
    for (const request of writeRequests(batch)) {
      batchOf.set(request.id, i);
      requests.push(request);
    }
    for (const { request } of places[i] ?? []) requestOf.push(first + request);
  });
  const writes = { requests, requestOf, objects: batches.map(({ objects }) => objects).join(',') };
  if (batches.length === 1) return [await upsertObjects(transaction, writes)];
  const written = batches.map(() => 0);
  for (const requestId of await upsertAndTell(transaction, writes)) {
    const i = batchOf.get(requestId) ?? 0;
    written[i] = (written[i] ?? 0) + 1;
  }
  return written;
}
