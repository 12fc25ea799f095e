/** Stores a batch: everything that comes of it in one transaction. */
import type { Batch, ObjectPlace } from '../domain/batch.ts';
import { objectPlaces, requestIds } from '../domain/batch.ts';
import { splitList } from '../domain/json-text.ts';
import type { Database, Queryable } from '../store/database.ts';
import type { FailedObject } from '../store/failed-objects.ts';
import { keepFailedObjects } from '../store/failed-objects.ts';
import { faultKind, sqlState } from '../store/faults.ts';
import { upsertObjects } from '../store/objects.ts';
import { recordRequests } from '../store/requests.ts';
import { applySchemas } from '../store/settings.ts';
import { isolate } from './isolate.ts';

/** What became of a batch's objects. */
export interface StoreOutcome {
  readonly requests: number;
  readonly objects: number;
  readonly failed: number;
}

interface ObjectWrite extends ObjectPlace {
  readonly text: string;
}

interface Refusal {
  readonly sqlState: string;
  readonly message: string;
}

/**
 * Stores the objects of a batch and records its requests as done. Doing it again changes nothing.
 * @throws pg.DatabaseError or StoreUnavailableError where nothing of the batch was stored; `faultKind` tells
 *   what to do
 */
export async function storeBatch(database: Database, batch: Batch): Promise<StoreOutcome> {
  const places = objectPlaces(batch);
  let failed = 0;
  try {
    await database.transaction(async (transaction) => {
      await upsertObjects(transaction, {
        ...writeContext(batch),
        requestOf: places.map(({ request }) => request),
        objects: batch.objects,
      });
      await record(transaction, batch, []);
    });
  } catch (error) {
    if (faultKind(error) !== 'data') throw error;
    failed = await storeIsolated(database, batch, places);
  }
  return { requests: batch.requests.length, objects: places.length, failed };
}

/** Stores what can be stored of a batch that was refused for its data, and keeps the rest as failed. */
async function storeIsolated(
  database: Database,
  batch: Batch,
  places: readonly ObjectPlace[],
): Promise<number> {
  const texts = splitList(batch.objects);
  if (texts.length !== places.length) {
    throw new Error(`batch ${batch.id} names ${places.length} objects and holds ${texts.length}`);
  }
  const writes = places.map((place, i): ObjectWrite => ({ ...place, text: texts[i] ?? '' }));
  return database.transaction(async (transaction) => {
    const failures = await isolate(groupByKey(writes), (some) => attempt(transaction, batch, some));
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
    await record(
      transaction,
      batch,
      failures.map(({ write }) => write.request),
    );
    return failed.length;
  });
}

async function attempt(
  transaction: Queryable,
  batch: Batch,
  writes: readonly ObjectWrite[],
): Promise<Refusal | undefined> {
  await transaction.query({ text: 'SAVEPOINT attempt' });
  try {
    await upsertObjects(transaction, {
      ...writeContext(batch),
      requestOf: writes.map(({ request }) => request),
      objects: writes.map(({ text }) => text).join(','),
    });
    await transaction.query({ text: 'RELEASE SAVEPOINT attempt' });
    return undefined;
  } catch (error) {
    const state = sqlState(error);
    if (state === undefined || faultKind(error) !== 'data') throw error;
    await transaction.query({ text: 'ROLLBACK TO SAVEPOINT attempt' });
    return { sqlState: state, message: storableText((error as Error).message) };
  }
}

function writeContext(batch: Batch) {
  const ids = requestIds(batch);
  return {
    acceptedAt: batch.acceptedAt,
    requests: batch.requests.map(({ namespace }, position) => ({ id: ids[position] ?? '', namespace })),
  };
}

/**
 * Records the requests as done, and applies the schemas that they brought: last, because a namespace's settings
 * are one row, which all workers of a busy namespace may want.
 * @param failed for each object that failed the position of its request
 */
async function record(transaction: Queryable, batch: Batch, failed: readonly number[]): Promise<void> {
  const ids = requestIds(batch);
  await recordRequests(
    transaction,
    batch.acceptedAt,
    batch.requests.map((request, position) => ({
      id: ids[position] ?? '',
      namespace: request.namespace,
      ids: request.ids.map(storableText),
      failed: failed.filter((of) => of === position).length,
    })),
  );
  const schemas = batch.requests.flatMap(({ namespace, schema }, position) =>
    schema === undefined ? [] : [{ namespace, schema, requestId: ids[position] ?? '' }],
  );
  if (schemas.length > 0) await applySchemas(transaction, batch.acceptedAt, schemas);
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

/** Text as Postgres can hold it, for telling of what it could not. */
function storableText(text: string): string {
  return text.replaceAll('\0', '\uFFFD').toWellFormed();
}
