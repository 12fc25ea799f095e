/** Stores a batch that Postgres has refused for its data: all of it but the objects that it is about. */
import type { Batch, ObjectPlace } from '../domain/batch.ts';
import { splitList } from '../domain/json-text.ts';
import { storableText } from '../domain/storable.ts';
import { attemptWrite } from '../store/attempt-write.ts';
import type { Database } from '../store/database.ts';
import type { FailedObject } from '../store/failed-objects.ts';
import { keepFailedObjects } from '../store/failed-objects.ts';
import { upsertObjects } from '../store/objects.ts';
import { storing } from '../store/webhook-outbox.ts';
import { writeEvents } from './batch-events.ts';
import { groupByKey, isolate } from './isolate.ts';
import type { Stored } from './record-batch.ts';
import { recordBatches, writeRequests } from './record-batch.ts';

interface ObjectWrite extends ObjectPlace {
  readonly text: string;
}

/** Stores what can be stored of a batch that was refused for its data, and keeps the rest as failed. */
export async function storeIsolated(
  database: Database,
  batch: Batch,
  places: readonly ObjectPlace[],
  { onProgress, evaluates }: { readonly onProgress: () => void; readonly evaluates: boolean },
): Promise<Stored> {
  const texts = splitList(batch.objects);
  if (texts.length !== places.length) {
    throw new Error(`batch ${batch.id} names ${places.length} objects and holds ${texts.length}`);
  }
  const writes = places.map((place, i): ObjectWrite => ({ ...place, text: texts[i] ?? '' }));
  const requests = writeRequests(batch);
  return storing(database, async (transaction, subscriptions) => {
    let stored = 0;
    const failures = await isolate(groupByKey(writes), async (some) => {
      const { written, refusal } = await attemptWrite(transaction, () =>
        upsertObjects(transaction, {
          requests,
          requestOf: some.map(({ request }) => request),
          objects: some.map(({ text }) => text).join(','),
        }),
      );
      stored += written;
      onProgress();
      return refusal;
    });
    const failed = failures.map(
      ({ write, reason }): FailedObject => ({
        requestId: requests[write.request]?.id ?? '',
        index: write.index,
        namespace: write.namespace,
        id: storableText(write.id),
        object: storableText(write.text),
        ...reason,
      }),
    );
    const failedPlaces = failures.map(({ write, reason }) => ({ ...write, message: reason.message }));
    const [recorded] = await recordBatches(transaction, [{ batch, failed: failedPlaces }], evaluates);
    onProgress();
    // Of a batch that comes a second time, what had failed may have been stored or discarded since.
    const keep = failed.filter(({ requestId }) => recorded?.fresh.has(requestId));
    await keepFailedObjects(transaction, batch.acceptedAt, keep);
    const endpointIds = await writeEvents(transaction, subscriptions, batch, places, failedPlaces, evaluates);
    return { stored, failed: failed.length, waits: recorded?.waits ?? false, endpointIds };
  });
}
