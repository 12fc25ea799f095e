/**
 * Stores failed objects once more. What is kept of a failed object goes in the transaction that stores it and not before;
 * one that Postgres refuses again stays, with the new reason.
 */
import type { Batch, Replay } from '../domain/batch.ts';
import type { Refusal } from '../store/attempt-write.ts';
import { attemptWrite } from '../store/attempt-write.ts';
import type { Database, Queryable } from '../store/database.ts';
import { upsertReplayed } from '../store/objects.ts';
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
import { groupByKey, isolate } from './isolate.ts';
import type { StoreObserver, StoreOutcome } from './store-batch.ts';

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
  { acceptedAt, replay }: { readonly acceptedAt: number; readonly replay: Replay },
  { onProgress, onEvents }: StoreObserver = {},
): Promise<StoreOutcome> {
  const { namespace, requestId, index, failedBefore, order } = replay;
  const scope = { namespace, requestId, index, failedBefore, replayable: true };
  const requests = new Set<string>();
  const total = { objects: 0, stored: 0, overtaken: 0, failed: 0 };
  let after: FailedWrite | undefined;
  for (let races = 0; ; ) {
    const kept = await readFailedWrites(database, scope, after);
    if (kept.length === 0) return { ...total, requests: requests.size };
    const objects = order === 'now' ? kept.map((write) => ({ ...write, acceptedAt })) : [...kept];
    try {
      const { stored, failed, endpointIds } = await storing(database, (transaction, subscriptions) =>
        storePage(transaction, subscriptions, objects.sort(byOrder)),
      );
      if (endpointIds.length > 0) onEvents?.(endpointIds);
      total.objects += kept.length;
      total.stored += stored;
      total.failed += failed;
      total.overtaken += kept.length - stored - failed;
      for (const write of kept) requests.add(write.requestId);
      after = kept.at(-1);
    } catch (error) {
      races += 1;
      if (!(error instanceof RacedError) || races > MAX_RACES) throw error;
    }
    onProgress?.();
  }
}

/** Whether a batch is a replay. */
export function isReplay(batch: Batch): batch is Batch & { readonly replay: Replay } {
  return batch.replay !== undefined;
}

async function storePage(
  transaction: Queryable,
  subscriptions: readonly Subscription[],
  objects: readonly FailedWrite[],
): Promise<{ stored: number; failed: number; endpointIds: readonly string[] }> {
  let stored = 0;
  const failures = await isolate(groupByKey(objects), async (some) => {
    const { written, refusal } = await attemptWrite(transaction, () => upsertReplayed(transaction, some));
    stored += written;
    return refusal;
  });
  const imports = await lockImports(transaction, [...new Set(objects.map(({ requestId }) => requestId))]);
  if (!(await lockFailed(transaction, objects))) throw new RacedError('a failed object is not what it was');

  const failed = new Set(failures.map(({ write }) => write));
  const done = objects.filter((object) => !failed.has(object));
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
  const endpointIds = await writeReplayEvents(transaction, subscriptions, done, failures);
  return { stored, failed: failures.length, endpointIds };
}

/** Of several writes of one id the last is to count. */
function byOrder(a: FailedWrite, b: FailedWrite): number {
  if (a.acceptedAt !== b.acceptedAt) return a.acceptedAt - b.acceptedAt;
  if (a.requestId !== b.requestId) return a.requestId < b.requestId ? -1 : 1;
  return a.index - b.index;
}

/** Events as of any object that is stored or has failed. Each try has a key of its own, so that it isn't taken for the first. */
async function writeReplayEvents(
  transaction: Queryable,
  subscriptions: readonly Subscription[],
  done: readonly FailedWrite[],
  failures: readonly Failure<FailedWrite, Refusal>[],
): Promise<readonly string[]> {
  if (subscriptions.length === 0) return [];
  const event = (type: OutboxEvent['type'], object: FailedWrite): OutboxEvent => ({
    type,
    namespace: object.namespace,
    objectId: object.id,
    requestId: object.requestId,
    key: `${object.index}_r${object.failedAt}`,
  });
  const byTime = new Map<number, Map<string, OutboxEvent>>();
  const add = (object: FailedWrite, place: string, made: OutboxEvent): void => {
    const events = byTime.get(object.acceptedAt) ?? new Map<string, OutboxEvent>();
    byTime.set(object.acceptedAt, events.set(place, made));
  };
  // As of a batch: one event for each id of a request, and none for deletes.
  for (const object of done) {
    if (!object.object.startsWith('"'))
      add(object, `${object.requestId} ${object.id}`, event('workflow.succeeded', object));
  }
  for (const { write, reason } of failures) {
    add(write, `${write.requestId}/${write.index}`, {
      ...event('workflow.failed', write),
      error: reason.message,
    });
  }
  const endpointIds = new Set<string>();
  for (const [acceptedAt, events] of byTime) {
    const got = await recordEvents(transaction, subscriptions, acceptedAt, [...events.values()]);
    for (const id of got) endpointIds.add(id);
  }
  return [...endpointIds];
}
