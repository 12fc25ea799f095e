/** Stores a batch: everything that comes of it in one transaction. */
import type { Batch, ObjectPlace } from '../domain/batch.ts';
import { objectPlaces, requestIds } from '../domain/batch.ts';
import { splitList } from '../domain/json-text.ts';
import { storableText } from '../domain/storable.ts';
import type { Database, Queryable } from '../store/database.ts';
import type { FailedObject } from '../store/failed-objects.ts';
import { keepFailedObjects } from '../store/failed-objects.ts';
import { faultKind, sqlState } from '../store/faults.ts';
import { finishImport, StaleChunkError } from '../store/imports.ts';
import { upsertObjects } from '../store/objects.ts';
import { isolate } from './isolate.ts';
import { recordBatch } from './record-batch.ts';

/** What became of a batch's objects: each of them was stored, overtaken or kept as failed. */
export interface StoreOutcome {
  readonly requests: number;
  readonly objects: number;
  readonly stored: number;
  /** Not written, because a later write of the same id was there already or comes in the same batch. */
  readonly overtaken: number;
  /** Refused by Postgres, or lines of an import that hold no object. */
  readonly failed: number;
}

/** Of a chunk that doesn't count any more. */
const NOTHING: StoreOutcome = { requests: 0, objects: 0, stored: 0, overtaken: 0, failed: 0 };

interface ObjectWrite extends ObjectPlace {
  readonly text: string;
}

interface Refusal {
  readonly sqlState: string;
  readonly message: string;
}

/**
 * Stores the objects of a batch and records its requests as done. Doing it again changes nothing.
 * @param onProgress called as each part of a batch that takes long is done
 * @throws pg.DatabaseError or StoreUnavailableError where nothing of the batch was stored; `faultKind` tells
 *   what to do
 */
export async function storeBatch(
  database: Database,
  batch: Batch,
  onProgress: () => void = () => undefined,
): Promise<StoreOutcome> {
  try {
    const outcome = await store(database, batch, onProgress);
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

async function store(database: Database, batch: Batch, onProgress: () => void): Promise<StoreOutcome> {
  const places = objectPlaces(batch);
  const rejected = batch.requests.reduce((sum, { import: chunk }) => sum + (chunk?.rejected.length ?? 0), 0);
  const { stored, failed } = await storeObjects(database, batch, places, onProgress);
  return {
    requests: batch.requests.length,
    objects: places.length + rejected,
    stored,
    overtaken: places.length - stored - failed,
    failed: failed + rejected,
  };
}

interface Counts {
  readonly stored: number;
  readonly failed: number;
}

async function storeObjects(
  database: Database,
  batch: Batch,
  places: readonly ObjectPlace[],
  onProgress: () => void,
): Promise<Counts> {
  try {
    return await database.transaction(async (transaction) => {
      const stored = await upsertObjects(transaction, {
        ...writeContext(batch),
        requestOf: places.map(({ request }) => request),
        objects: batch.objects,
      });
      onProgress();
      await recordBatch(transaction, batch, []);
      return { stored, failed: 0 };
    });
  } catch (error) {
    if (faultKind(error) !== 'data') throw error;
    onProgress();
    return storeIsolated(database, batch, places, onProgress);
  }
}

/** Stores what can be stored of a batch that was refused for its data, and keeps the rest as failed. */
async function storeIsolated(
  database: Database,
  batch: Batch,
  places: readonly ObjectPlace[],
  onProgress: () => void,
): Promise<Counts> {
  const texts = splitList(batch.objects);
  if (texts.length !== places.length) {
    throw new Error(`batch ${batch.id} names ${places.length} objects and holds ${texts.length}`);
  }
  const writes = places.map((place, i): ObjectWrite => ({ ...place, text: texts[i] ?? '' }));
  return database.transaction(async (transaction) => {
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
    await recordBatch(
      transaction,
      batch,
      failures.map(({ write }) => write),
    );
    return { stored, failed: failed.length };
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

function writeContext(batch: Batch) {
  const ids = requestIds(batch);
  return {
    acceptedAt: batch.acceptedAt,
    requests: batch.requests.map(({ namespace }, position) => ({ id: ids[position] ?? '', namespace })),
  };
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
