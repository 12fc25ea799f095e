/** Stores a batch that Postgres has refused: all of it but the objects that it is about. */
import type { Batch, ObjectPlace } from '../domain/batch.ts';
import { objectPlaces, orderOf, partOf } from '../domain/batch.ts';
import { splitList } from '../domain/json-text.ts';
import { storableText } from '../domain/storable.ts';
import type { Database } from '../store/database.ts';
import type { FailedObject } from '../store/failed-objects.ts';
import { keepFailedObjects } from '../store/failed-objects.ts';
import { hasWritten, upsertAndTell } from '../store/objects.ts';
import { storing } from '../store/webhook-outbox.ts';
import { writeEvents } from './batch-events.ts';
import { isolateWrites } from './isolate-writes.ts';
import type { Stored } from './record-batch.ts';
import { recordBatches, writeRequests } from './record-batch.ts';
import type { Refused } from './store-outcome.ts';
import { refusedOf } from './store-outcome.ts';

interface ObjectWrite extends ObjectPlace {
  readonly text: string;
}

/** What of a batch is done. */
export interface IsolatedBatch {
  /** Its requests all of whose objects are stored or kept as failed. */
  readonly settled: Batch;
  readonly stored: Stored;
  /** What is to be tried again; undefined where everything is done. */
  readonly refused: Refused | undefined;
}

/**
 * Stores what can be stored of a batch, and records the requests of which nothing is left to be tried again. Of the other
 * requests objects are stored, and nothing is recorded yet.
 * @throws as `storeBatch`, also pg.DatabaseError where what is recorded of its requests is refused
 */
export async function storeIsolated(
  database: Database,
  batch: Batch,
  { onProgress, evaluates }: { readonly onProgress: () => void; readonly evaluates: boolean },
): Promise<IsolatedBatch> {
  const places = objectPlaces(batch);
  const texts = splitList(batch.objects);
  if (texts.length !== places.length) {
    throw new Error(`batch ${batch.id} names ${places.length} objects and holds ${texts.length}`);
  }
  const writes = places.map((place, i): ObjectWrite => ({ ...place, text: texts[i] ?? '' }));
  const requests = writeRequests(batch);
  return storing(database, async (transaction, subscriptions) => {
    const wasStored = async ({ request, text }: ObjectWrite): Promise<boolean> => {
      const own = requests[request];
      return own !== undefined && hasWritten(transaction, own, text);
    };
    const isolated = await isolateWrites(transaction, writes, {
      write: (some) =>
        upsertAndTell(transaction, {
          requests,
          requestOf: some.map(({ request }) => request),
          objects: some.map(({ text }) => text).join(','),
        }),
      // A trigger may refuse what it let pass in an earlier try, such as an object that is there already.
      wasStored: batch.isRetried && wasStored,
      refusals: batch.refusals ?? 0,
      onProgress,
    });
    const { results, failed } = isolated;
    const open = new Set(isolated.waiting.map(({ request }) => request));
    const settled = open.size > 0 ? partOf(batch, (position) => !open.has(position)) : batch;
    const requestIds = requests.map(({ id }) => id).filter((_, position) => !open.has(position));
    const failures = failed
      .filter(({ write }) => !open.has(write.request))
      .map(({ write, reason }) => ({
        ...write,
        request: requestIds.indexOf(requests[write.request]?.id ?? ''),
        ...reason,
      }));
    const [recorded] = await recordBatches(transaction, [{ batch: settled, failed: failures }], evaluates);
    onProgress();
    const kept = failures.map(
      ({ request, index, namespace, id, text, sqlState, message }): FailedObject => ({
        requestId: requestIds[request] ?? '',
        ...{ index, namespace, id: storableText(id), object: storableText(text), sqlState, message },
      }),
    );
    // Of a batch that comes a second time, what had failed may have been stored or discarded since.
    const keep = kept.filter(({ requestId }) => recorded?.fresh.has(requestId));
    if (keep.length > 0) await keepFailedObjects(transaction, orderOf(batch), keep);
    const done = [{ batch: settled, places: objectPlaces(settled), failed: failures }];
    const endpointIds = await writeEvents(transaction, subscriptions, done, evaluates, onProgress);
    const written = results.flat().filter((requestId) => requestIds.includes(requestId)).length;
    const stored = { stored: written, failed: kept.length, waits: recorded?.waits ?? false, endpointIds };
    return { settled, stored, refused: refusedOf(isolated) };
  });
}
