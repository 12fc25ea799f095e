/** The events that come of a stored batch. */
import type { Batch, ObjectPlace } from '../domain/batch.ts';
import { requestIds, stampOf } from '../domain/batch.ts';
import { storableText } from '../domain/storable.ts';
import type { Queryable } from '../store/database.ts';
import type { OutboxEvent, Subscription } from '../store/webhook-outbox.ts';
import { recordEvents } from '../store/webhook-outbox.ts';

/** An object that could not be stored, and why. */
interface FailedPlace extends ObjectPlace {
  readonly message: string;
}

/** A batch whose objects are stored, but for those that failed. */
interface DoneBatch {
  readonly batch: Batch;
  /** Those of all of its objects. */
  readonly places: readonly ObjectPlace[];
  readonly failed: readonly FailedPlace[];
}

/**
 * Writes the events that come of batches. Comes last, because events hold metadata by the schema that came along.
 * @param evaluates whether objects that could be stored are still to be evaluated: that gives their events then
 * @param onProgress told after each statement
 * @returns the ids of the endpoints that may have got something
 */
export async function writeEvents(
  transaction: Queryable,
  subscriptions: readonly Subscription[],
  batches: readonly DoneBatch[],
  evaluates: boolean,
  onProgress: () => void,
): Promise<readonly string[]> {
  if (subscriptions.length === 0) return [];
  const events = batches.flatMap(({ batch, places, failed }) => [
    ...failureEvents(batch, failed),
    ...(evaluates ? [] : successEvents(batch, places, failed)),
  ]);
  return recordEvents(transaction, subscriptions, events, onProgress);
}

/**
 * `workflow.failed` for each object that could not be stored, and for each line of an import that holds none.
 */
function failureEvents(batch: Batch, failed: readonly FailedPlace[]): OutboxEvent[] {
  const event = eventOf(batch);
  const rejected = batch.requests.flatMap(({ namespace, import: chunk }, request) =>
    (chunk?.rejected ?? []).map(({ line, id, message }) => ({
      ...event('workflow.failed', { request, index: line, namespace, id }),
      error: storableText(message),
    })),
  );
  return [
    ...failed.map((place) => ({ ...event('workflow.failed', place), error: place.message })),
    ...rejected,
  ];
}

/**
 * `workflow.succeeded` for each id of a request that could be stored, overtaken or not. Deletes give none.
 * @param places those of all objects of the batch
 * @param failed those of the objects that could not be stored
 */
function successEvents(
  batch: Batch,
  places: readonly ObjectPlace[],
  failed: readonly ObjectPlace[],
): OutboxEvent[] {
  const event = eventOf(batch);
  const without = new Set(failed.map(({ request, index }) => `${request} ${index}`));
  const events = new Map<string, OutboxEvent>();
  for (const place of places) {
    const { request, index, id } = place;
    if (batch.requests[request]?.isDelete || without.has(`${request} ${index}`)) continue;
    events.set(`${request} ${id}`, event('workflow.succeeded', place));
  }
  return [...events.values()];
}

function eventOf(batch: Batch) {
  const ids = requestIds(batch);
  return (type: OutboxEvent['type'], { request, index, namespace, id }: ObjectPlace): OutboxEvent => {
    const upload = batch.requests[request]?.import?.upload;
    return {
      type,
      namespace,
      objectId: storableText(id),
      requestId: ids[request] ?? '',
      acceptedAt: batch.acceptedAt,
      stamp: stampOf(batch),
      // A file that is sent again may hold other objects in the same lines.
      key: upload === undefined ? String(index) : `${upload}_${index}`,
    };
  };
}
