/**
 * Stores failed objects once more. What is kept of a failed object goes in the transaction that stores it and not before;
 * one that Postgres refuses again stays, with the new reason.
 */
import type { Batch, Replay } from '../domain/batch.ts';
import { orderOf } from '../domain/batch.ts';
import type { BatchId } from '../domain/request-id.ts';
import type { Refusal } from '../store/attempt-write.ts';
import type { Database, Queryable } from '../store/database.ts';
import { upsertReplayed } from '../store/objects.ts';
import { deleteOutputs } from '../store/outputs.ts';
import { recordReplayEvaluations } from '../store/replay-evaluations.ts';
import type { FailedWrite } from '../store/replays.ts';
import {
  addImportIds,
  countStored,
  lockFailed,
  lockImports,
  noteFailures,
  readFailedWrites,
  removeFailed,
} from '../store/replays.ts';
import type { OutboxEvent, Subscription } from '../store/webhook-outbox.ts';
import { recordEvents, storing } from '../store/webhook-outbox.ts';
import type { Failure } from './isolate.ts';
import { isolateWrites } from './isolate-writes.ts';
import type { Stored } from './record-batch.ts';
import type { Refused, StoreObserver, StoreOutcome } from './store-outcome.ts';
import { mergeRefused, ObjectsRefusedError, refusedOf } from './store-outcome.ts';

/** How often a transaction is made anew because somebody else was at the same objects; then the queue tries again. */
const MAX_RACES = 10;

/** Somebody else has replayed or discarded one of the objects meanwhile: nothing of the transaction is to stay. */
class RacedError extends Error {
  override readonly name = 'RacedError';
}

/**
 * Replays failed objects, a transaction for some hundred of them. Doing it again does nothing to those that were stored,
 * nor to those that have failed again.
 * @throws as `storeBatch`; what was stored until then stays stored
 */
export async function storeReplay(
  database: Database,
  batch: Batch & { readonly replay: Replay },
  { onProgress = () => undefined, onEvents, onWaiting }: StoreObserver = {},
): Promise<StoreOutcome> {
  const { id, replay, refusals = 0 } = batch;
  const { namespace, requestId, index, failedBefore, order } = replay;
  const scope = { namespace, requestId, index, failedBefore, replayable: true };
  const requests = new Set<string>();
  const total = { objects: 0, stored: 0, overtaken: 0, failed: 0 };
  let refused: Refused | undefined;
  let after: FailedWrite | undefined;
  for (let races = 0; ; ) {
    const kept = await readFailedWrites(database, scope, after);
    if (kept.length === 0 || refused?.isBroken) {
      const outcome = { ...total, requests: requests.size };
      if (refused) throw new ObjectsRefusedError(refused, outcome, refusals);
      return outcome;
    }
    const objects = order === 'now' ? kept.map((write) => ({ ...write, ...orderOf(batch) })) : [...kept];
    try {
      const evaluatedAs = onWaiting ? id : undefined;
      const page = await storing(database, (transaction, subscriptions) =>
        storePage(transaction, subscriptions, objects.sort(byOrder), { evaluatedAs, refusals, onProgress }),
      );
      const { stored, failed, waits, endpointIds } = page;
      if (endpointIds.length > 0) onEvents?.(endpointIds);
      if (waits) onWaiting?.(id);
      refused = mergeRefused(refused, page.refused);
      const done = kept.length - (page.refused?.objects ?? 0);
      total.objects += done;
      total.stored += stored;
      total.failed += failed;
      total.overtaken += done - stored - failed;
      for (const write of kept) requests.add(write.requestId);
      after = kept.at(-1);
    } catch (error) {
      races += 1;
      if (!(error instanceof RacedError) || races > MAX_RACES) throw error;
    }
    onProgress();
  }
}

/** Whether a batch is a replay. */
export function isReplay(batch: Batch): batch is Batch & { readonly replay: Replay } {
  return batch.replay !== undefined;
}

interface PageOptions {
  /** The batch whose evaluation what is stored waits for; undefined where there is no evaluator. */
  readonly evaluatedAs: BatchId | undefined;
  /** How often objects of this replay were refused before. */
  readonly refusals: number;
  readonly onProgress: () => void;
}

/** @returns what came of it; objects that are to be tried again stay as they are */
async function storePage(
  transaction: Queryable,
  subscriptions: readonly Subscription[],
  objects: readonly FailedWrite[],
  { evaluatedAs, refusals, onProgress }: PageOptions,
): Promise<Stored & { readonly refused: Refused | undefined }> {
  const isolated = await isolateWrites(transaction, objects, {
    ...{ refusals, onProgress },
    write: (some) => upsertReplayed(transaction, some),
  });
  const { results, failed: failures } = isolated;
  const imports = await lockImports(transaction, [...new Set(objects.map(({ requestId }) => requestId))]);
  if (!(await lockFailed(transaction, objects))) throw new RacedError('a failed object is not what it was');

  const notDone = new Set([...failures.map(({ write }) => write), ...isolated.waiting]);
  const done = objects.filter((object) => !notDone.has(object));
  await noteFailures(
    transaction,
    failures.map(({ write, reason }) => ({ ...write, ...reason })),
  );
  const settled = await removeFailed(transaction, done);
  await countStored(transaction, settled);
  for (const requestId of imports) {
    const own = settled.filter((one) => one.requestId === requestId);
    if (own.length > 0) await addImportIds(transaction, requestId, own);
  }
  const waits = evaluatedAs !== undefined && (await letWait(transaction, evaluatedAs, done));
  const stored = evaluatedAs === undefined ? done : [];
  const endpointIds = await writeReplayEvents(transaction, subscriptions, stored, failures);
  return {
    ...{ stored: sum(results), failed: failures.length, waits, endpointIds },
    refused: refusedOf(isolated),
  };
}

/** Of several writes of one id the last is to count. */
function byOrder(a: FailedWrite, b: FailedWrite): number {
  if (a.stamp !== b.stamp) return a.stamp - b.stamp;
  if (a.requestId !== b.requestId) return a.requestId < b.requestId ? -1 : 1;
  return a.index - b.index;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

/** The key of an object's event: each try has its own, so that it isn't taken for the first. */
function keyOf({ index, failedAt }: FailedWrite): string {
  return `${index}_r${failedAt}`;
}

/** Of what is done, the last of each id in its request, as in the events of batches; deletes are none of it. */
function lastWrites(done: readonly FailedWrite[]): FailedWrite[] {
  const last = new Map<string, FailedWrite>();
  for (const write of done) if (!isDelete(write)) last.set(`${write.requestId} ${write.id}`, write);
  return [...last.values()];
}

function isDelete({ object }: FailedWrite): boolean {
  return object.startsWith('"');
}

/** Lets what is stored wait to be evaluated. @returns whether there is any */
async function letWait(
  transaction: Queryable,
  batchId: BatchId,
  done: readonly FailedWrite[],
): Promise<boolean> {
  const deletes = done.filter(isDelete);
  if (deletes.length > 0) await deleteOutputs(transaction, deletes);
  const waiting = lastWrites(done).map((write) => ({ ...write, key: keyOf(write) }));
  if (waiting.length > 0) await recordReplayEvaluations(transaction, batchId, waiting);
  return waiting.length > 0;
}

/** @param stored what is done without an evaluation; that gives its events otherwise */
async function writeReplayEvents(
  transaction: Queryable,
  subscriptions: readonly Subscription[],
  stored: readonly FailedWrite[],
  failures: readonly Failure<FailedWrite, Refusal>[],
): Promise<readonly string[]> {
  if (subscriptions.length === 0) return [];
  const event = (type: OutboxEvent['type'], write: FailedWrite, error?: string): OutboxEvent => {
    const { namespace, id: objectId, requestId, acceptedAt, stamp } = write;
    const about = { type, namespace, objectId, requestId, acceptedAt, stamp, key: keyOf(write) };
    return error === undefined ? about : { ...about, error };
  };
  const all = [
    ...lastWrites(stored).map((write) => event('workflow.succeeded', write)),
    ...failures.map(({ write, reason }) => event('workflow.failed', write, reason.message)),
  ];
  return recordEvents(transaction, subscriptions, all);
}
