/** Stores a batch: everything that comes of it in one transaction. */
import type { Batch, ObjectPlace } from '../domain/batch.ts';
import { objectPlaces } from '../domain/batch.ts';
import type { Database } from '../store/database.ts';
import { faultKind } from '../store/faults.ts';
import { finishImport, StaleChunkError } from '../store/imports.ts';
import { upsertObjects } from '../store/objects.ts';
import { storing } from '../store/webhook-outbox.ts';
import { writeEvents } from './batch-events.ts';
import type { Stored } from './record-batch.ts';
import { recordBatch, writeContext } from './record-batch.ts';
import { storeIsolated } from './store-isolated.ts';
import type { StoreObserver, StoreOutcome } from './store-outcome.ts';
import { isReplay, storeReplay } from './store-replay.ts';

/** Of a chunk that doesn't count any more. */
const NOTHING: StoreOutcome = { requests: 0, objects: 0, stored: 0, overtaken: 0, failed: 0 };

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
  const { onProgress = () => undefined, onEvents, onWaiting } = observer;
  try {
    const evaluates = onWaiting !== undefined;
    const { outcome, waits, endpointIds } = await store(database, batch, { onProgress, evaluates });
    if (endpointIds.length > 0) onEvents?.(endpointIds);
    if (waits) onWaiting?.(batch.id);
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

interface StoreOptions {
  readonly onProgress: () => void;
  readonly evaluates: boolean;
}

async function store(
  database: Database,
  batch: Batch,
  options: StoreOptions,
): Promise<{ outcome: StoreOutcome; waits: boolean; endpointIds: readonly string[] }> {
  const places = objectPlaces(batch);
  const rejected = batch.requests.reduce((sum, { import: chunk }) => sum + (chunk?.rejected.length ?? 0), 0);
  const { stored, failed, ...rest } = await storeObjects(database, batch, places, options);
  const outcome = {
    requests: batch.requests.length,
    objects: places.length + rejected,
    stored,
    overtaken: places.length - stored - failed,
    failed: failed + rejected,
  };
  return { outcome, ...rest };
}

async function storeObjects(
  database: Database,
  batch: Batch,
  places: readonly ObjectPlace[],
  options: StoreOptions,
): Promise<Stored> {
  const { onProgress, evaluates } = options;
  try {
    return await storing(database, async (transaction, subscriptions) => {
      const stored = await upsertObjects(transaction, {
        ...writeContext(batch),
        requestOf: places.map(({ request }) => request),
        objects: batch.objects,
      });
      onProgress();
      const { waits } = await recordBatch(transaction, batch, [], evaluates);
      const endpointIds = await writeEvents(transaction, subscriptions, batch, places, [], evaluates);
      return { stored, failed: 0, waits, endpointIds };
    });
  } catch (error) {
    if (faultKind(error) !== 'data') throw error;
    onProgress();
    return storeIsolated(database, batch, places, options);
  }
}
