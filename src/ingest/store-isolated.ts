/** Stores a batch that Postgres has refused for its data: all of it but the objects that it is about. */
import type { Batch, ObjectPlace } from '../domain/batch.ts';
import { requestIds } from '../domain/batch.ts';
import { splitList } from '../domain/json-text.ts';
import { storableText } from '../domain/storable.ts';
import type { Database, Queryable } from '../store/database.ts';
import type { FailedObject } from '../store/failed-objects.ts';
import { keepFailedObjects } from '../store/failed-objects.ts';
import { faultKind, sqlState } from '../store/faults.ts';
import { upsertObjects } from '../store/objects.ts';
import { storing } from '../store/webhook-outbox.ts';
import { writeEvents } from './batch-events.ts';
import { isolate } from './isolate.ts';
import type { Stored } from './record-batch.ts';
import { recordBatch, writeContext } from './record-batch.ts';

interface ObjectWrite extends ObjectPlace {
  readonly text: string;
}

interface Refusal {
  readonly sqlState: string;
  readonly message: string;
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
  return storing(database, async (transaction, subscriptions) => {
    let stored = 0;
    const failures = await isolate(groupByKey(writes), async (some) => {
      const { written, refusal } = await attempt(transaction, batch, some);
      stored += written;
      onProgress();
      return refusal;
    });
    const ids = requestIds(batch);
    const failed = failures.map(
      ({ write, reason }): FailedObject => ({
        requestId: ids[write.request] ?? '',
        index: write.index,
        namespace: write.namespace,
        id: storableText(write.id),
        object: storableText(write.text),
        ...reason,
      }),
    );
    await keepFailedObjects(transaction, batch.acceptedAt, failed);
    const failedPlaces = failures.map(({ write, reason }) => ({ ...write, message: reason.message }));
    const waits = await recordBatch(transaction, batch, failedPlaces, evaluates);
    const endpointIds = await writeEvents(transaction, subscriptions, batch, places, failedPlaces, evaluates);
    return { stored, failed: failed.length, waits, endpointIds };
  });
}

async function attempt(
  transaction: Queryable,
  batch: Batch,
  writes: readonly ObjectWrite[],
): Promise<{ written: number; refusal: Refusal | undefined }> {
  await transaction.query({ text: 'SAVEPOINT attempt' });
  try {
    const written = await upsertObjects(transaction, {
      ...writeContext(batch),
      requestOf: writes.map(({ request }) => request),
      objects: writes.map(({ text }) => text).join(','),
    });
    // Constraints that would wait for the commit would fail it as a whole.
    await transaction.query({ text: 'SET CONSTRAINTS ALL IMMEDIATE' });
    await transaction.query({ text: 'RELEASE SAVEPOINT attempt' });
    return { written, refusal: undefined };
  } catch (error) {
    const state = sqlState(error);
    if (state === undefined || faultKind(error) !== 'data') throw error;
    await transaction.query({ text: 'ROLLBACK TO SAVEPOINT attempt' });
    return {
      written: 0,
      refusal: { sqlState: state, message: storableText((error as Error).message) },
    };
  }
}

/**
 * The writes of each key in their order, the keys in the order in which `upsertObjects` locks rows: also a
 * batch that is stored in pieces must not wait for another worker in a circle.
 */
function groupByKey(writes: readonly ObjectWrite[]): ObjectWrite[][] {
  const groups = new Map<string, ObjectWrite[]>();
  for (const write of writes) {
    // No namespace holds a space.
    const key = `${write.namespace} ${write.id}`;
    const group = groups.get(key);
    if (group) group.push(write);
    else groups.set(key, [write]);
  }
  return [...groups]
    .map(([key, group]) => ({ bytes: Buffer.from(key), group }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ group }) => group);
}
