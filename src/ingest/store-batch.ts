/** Stores batches: everything that comes of one is in one transaction, and several may share it. */
import type { Batch, ObjectPlace } from '../domain/batch.ts';
import { objectPlaces, partOf, stampOf } from '../domain/batch.ts';
import type { Database, Queryable } from '../store/database.ts';
import { isConnectionFault, isRefusal, sqlState } from '../store/faults.ts';
import { finishImport, StaleChunkError } from '../store/imports.ts';
import type { WriteRequest } from '../store/objects.ts';
import { upsertAndTell, upsertObjects } from '../store/objects.ts';
import { storing } from '../store/webhook-outbox.ts';
import { writeEvents } from './batch-events.ts';
import type { Stored } from './record-batch.ts';
import { recordBatches, writeRequests } from './record-batch.ts';
import { storeIsolated } from './store-isolated.ts';
import type { Refused, StoreObserver, StoreOutcome } from './store-outcome.ts';
import { mergeRefused, NOTHING, ObjectsRefusedError, sumOf } from './store-outcome.ts';
import { isReplay, storeReplay } from './store-replay.ts';
import { notYetStored } from './stored-before.ts';

interface StoreOptions {
  readonly onProgress: () => void;
  readonly evaluates: boolean;
}

/**
 * Stores the objects of a batch and records its requests as done, or replays what the batch says. Doing it again
 * changes nothing.
 * @throws StoreUnavailableError where Postgres can't be reached: nothing is known of the batch. ObjectsRefusedError where
 *   objects of it were refused for a reason that may pass; the others are stored
 */
export async function storeBatch(
  database: Database,
  batch: Batch,
  observer: StoreObserver = {},
): Promise<StoreOutcome> {
  if (isReplay(batch)) return storeReplay(database, batch, observer);
  try {
    // What of it has failed then may have been stored or discarded since: that is for a replay to say.
    const rest = batch.isRetried ? await notYetStored(database, batch) : batch;
    const { outcome, refused, cause } = rest
      ? await storePart(database, rest, observer)
      : { outcome: NOTHING };
    if (refused) throw new ObjectsRefusedError(refused, outcome, batch.refusals ?? 0, cause);
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

/** What came of a batch, or a part of it. */
interface Part {
  readonly outcome: StoreOutcome;
  readonly refused?: Refused | undefined;
  /** The first answer with which Postgres has refused something. */
  readonly cause?: unknown;
}

/** How long requests are tried apart, in milliseconds; where nothing of them can be recorded, each try may take seconds. */
const HALVING_MS = 60_000;

/** Stores requests together if that can be, and otherwise what can be stored of them. */
async function storePart(
  database: Database,
  batch: Batch,
  observer: StoreObserver,
  deadline = performance.now() + HALVING_MS,
): Promise<Part> {
  if (performance.now() > deadline) return { outcome: NOTHING, refused: allRefused(batch, []) };
  const options = storeOptions(observer);
  let cause: unknown;
  try {
    // What was refused before is isolated at once.
    if (!batch.refusals) {
      const stored = await storeWhole(database, [batch], options);
      return { outcome: tell([batch], stored, observer)[0] ?? NOTHING };
    }
  } catch (error) {
    if (isConnectionFault(error)) return storeApart(database, batch, observer, error);
    if (!isRefusal(error)) throw error;
    cause = error;
  }
  options.onProgress();
  try {
    const { settled, stored, refused } = await storeIsolated(database, batch, options);
    return { outcome: tell([settled], [stored], observer)[0] ?? NOTHING, refused, cause };
  } catch (error) {
    if (isConnectionFault(error)) return storeApart(database, batch, observer, error);
    if (!isRefusal(error)) throw error;
    cause = error;
  }
  options.onProgress();
  // What was refused is no object, but what is recorded of requests.
  const { length } = batch.requests;
  if (length === 1) return { outcome: NOTHING, refused: allRefused(batch, [sqlState(cause) ?? '']), cause };
  const [firstHalf, secondHalf] = halvesOf(batch);
  const first = await storePart(database, firstHalf, observer, deadline);
  const second = await storePart(database, secondHalf, observer, deadline);
  return {
    outcome: sumOf(first.outcome, second.outcome),
    refused: mergeRefused(first.refused, second.refused),
    cause: first.cause ?? second.cause,
  };
}

function allRefused(batch: Batch, sqlStates: readonly string[]): Refused {
  return { objects: objectPlaces(batch).length, sqlStates, isBroken: false, isLocked: false };
}

/**
 * Storing one request may end the connection each time, and must not keep the others of its batch waiting. (Once may be an
 * outage.)
 * @throws `fault` where that is about Postgres, or about a single request
 */
async function storeApart(
  database: Database,
  batch: Batch,
  observer: StoreObserver,
  fault: unknown,
): Promise<Part> {
  if (!batch.isRetried || batch.requests.length === 1 || !(await database.isUp())) throw fault;
  for (const half of halvesOf(batch)) {
    // What of a half is refused is tried again with the request that is at fault.
    await storePart(database, half, observer).catch((error: unknown) => {
      if (!isConnectionFault(error)) throw error;
    });
  }
  throw fault;
}

function halvesOf(batch: Batch): readonly [Batch, Batch] {
  const middle = Math.ceil(batch.requests.length / 2);
  return [partOf(batch, (position) => position < middle), partOf(batch, (position) => position >= middle)];
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
 * @throws StoreUnavailableError, and pg.DatabaseError where Postgres refuses anything of them: then each has to be stored
 *   on its own
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
  if (stampOf(a) !== stampOf(b)) return stampOf(a) - stampOf(b);
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

/**
 * How long a statement of a first attempt may take, in milliseconds: many times what it usually takes. Whatever takes longer is
 * isolated, so that a slow trigger doesn't hold transactions for a minute.
 */
function statementMs(objects: number): number {
  return Math.min(15_000 + objects, 54_000);
}

/** Stores all objects of batches, which are in the order of their writes, or none. */
function storeWhole(
  database: Database,
  batches: readonly Batch[],
  { onProgress, evaluates }: StoreOptions,
): Promise<Stored[]> {
  const places = batches.map(objectPlaces);
  return storing(
    database,
    async (transaction, subscriptions) => {
      const written = await upsertBatches(transaction, batches, places);
      onProgress();
      const recorded = await recordBatches(
        transaction,
        batches.map((batch) => ({ batch, failed: [] })),
        evaluates,
      );
      onProgress();
      const done = batches.map((batch, i) => ({ batch, places: places[i] ?? [], failed: [] }));
      const endpointIds = await writeEvents(transaction, subscriptions, done, evaluates, onProgress);
      return batches.map((_, i) => ({
        ...{ stored: written[i] ?? 0, failed: 0, waits: recorded[i]?.waits ?? false, endpointIds },
      }));
    },
    statementMs(places.reduce((sum, { length }) => sum + length, 0)),
  );
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
