/** Evaluates a batch: its objects as they are now, page by page, each page in a transaction of its own. */
import { EMPTY_OUTPUT } from '../domain/output.ts';
import type { BatchId } from '../domain/request-id.ts';
import { HandedBackError } from '../queue/queue.ts';
import type { Database } from '../store/database.ts';
import type { WaitingObjects } from '../store/evaluations.ts';
import { finishRequests, readWaiting } from '../store/evaluations.ts';
import { finishChunkEvaluation } from '../store/imports.ts';
import type { CurrentVersion, KeptOutput, NewOutput, ObjectKey } from '../store/outputs.ts';
import { keepOutputs, readCurrent, readOutputs } from '../store/outputs.ts';
import { finishReplayEvaluations } from '../store/replay-evaluations.ts';
import type { OutboxEvent } from '../store/webhook-outbox.ts';
import { recordEventsByTime, storing } from '../store/webhook-outbox.ts';
import type { Evaluation } from './evaluator.ts';
import { PageSize } from './page-size.ts';
import type { EvaluationInput } from './thread-messages.ts';

/** What evaluates objects, some at a time. */
export interface ObjectEvaluator {
  /** How many at one time. */
  readonly concurrency: number;
  /** @param stopping where it is aborted, what has not begun isn't begun any more */
  evaluate(input: EvaluationInput, stopping: AbortSignal): Promise<Evaluation>;
}

/** What became of the objects of a batch. */
export interface EvaluationOutcome {
  /** Requests, chunks of imports, and replayed objects that waited. */
  readonly requests: number;
  readonly objects: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly timedOut: number;
  /** Not evaluated: deleted by now, or evaluated as they are before, or because there is no evaluator any more. */
  readonly skipped: number;
}

export interface EvaluateBatchOptions {
  /** Undefined where there is no evaluator any more: what waits for one is then done without. */
  readonly evaluator: ObjectEvaluator | undefined;
  readonly stopping: AbortSignal;
  /** Endpoints have got events to be delivered; they are committed. */
  readonly onEvents: (endpointIds: readonly string[]) => void;
}

/** An object of one of the requests that wait. */
interface Place {
  readonly part: WaitingObjects;
  readonly id: string;
  readonly key: string;
  /** It is the last of its request: that is done with it. */
  readonly isLast: boolean;
}

/**
 * Evaluates what of a batch waits for it. Doing it again changes nothing: what was evaluated is not evaluated again, and
 * events have the same ids.
 * @throws HandedBackError where it is to stop; pg.DatabaseError or StoreUnavailableError. Pages that are done stay done.
 */
export async function evaluateBatch(
  database: Database,
  batchId: BatchId,
  options: EvaluateBatchOptions,
): Promise<EvaluationOutcome> {
  const parts = await readWaiting(database, batchId);
  const places = parts.flatMap(placesOf);
  const counts = { succeeded: 0, failed: 0, timedOut: 0, skipped: 0 };
  const pageSize = new PageSize(options.evaluator?.concurrency ?? 1);
  for (let from = 0; from < places.length; ) {
    const page = places.slice(from, from + pageSize.objects);
    const begun = performance.now();
    const { done, outputs, tally } = await evaluatePage(database, page, options);
    await finishPage(database, batchId, page.slice(0, done), outputs, options.onEvents);
    for (const name of ['succeeded', 'failed', 'timedOut', 'skipped'] as const) counts[name] += tally[name];
    const bytes = outputs.reduce((sum, { output }) => sum + (output?.length ?? 0), 0);
    pageSize.learn(performance.now() - begun, bytes);
    from += done;
  }
  await finishRest(database, batchId, parts);
  return { requests: parts.length, objects: places.length, ...counts };
}

function placesOf(part: WaitingObjects): Place[] {
  const last = part.objects.length - 1;
  return part.objects.map((object, i) => ({ part, ...object, isLast: i === last }));
}

async function evaluatePage(
  database: Database,
  page: readonly Place[],
  { evaluator, stopping }: EvaluateBatchOptions,
) {
  const outputs: NewOutput[] = [];
  const tally = { succeeded: 0, failed: 0, timedOut: 0, skipped: page.length };
  if (!evaluator) return { done: page.length, outputs, tally };
  const versions = await readCurrent(database, page.map(keyOf));
  tally.skipped = versions.length;
  // Several requests of a batch may have written the same object.
  const waiting = new Map<string, CurrentVersion>();
  for (const version of versions) {
    if (version.state === 'waiting') waiting.set(`${version.namespace} ${version.id}`, version);
  }
  const evaluated = await unlessStopping(stopping, () =>
    Promise.all([...waiting.values()].map((version) => evaluateVersion(version, evaluator, stopping))),
  );
  for (const { outcome, output } of evaluated) {
    tally[outcome === 'timed_out' ? 'timedOut' : outcome] += 1;
    tally.skipped -= 1;
    outputs.push(output);
  }
  return { done: versions.length, outputs, tally };
}

function keyOf({ part: { namespace }, id }: Place): ObjectKey {
  return { namespace, id };
}

async function evaluateVersion(
  { namespace, id, requestId, revision, data, previous }: CurrentVersion,
  evaluator: ObjectEvaluator,
  stopping: AbortSignal,
): Promise<{ outcome: Evaluation['outcome']; output: NewOutput }> {
  const input = { namespace, id, requestId, revision, data: data ?? 'null', previous };
  const evaluation = await evaluator.evaluate(input, stopping);
  const { outcome } = evaluation;
  const kept =
    outcome === 'succeeded'
      ? { output: evaluation.output, error: null }
      : { output: null, error: evaluation.error };
  return { outcome, output: { namespace, id, revision, ...kept } };
}

/** Keeps what came of a page, writes its events, and ends the wait of the requests that end in it. */
async function finishPage(
  database: Database,
  batchId: BatchId,
  page: readonly Place[],
  outputs: readonly NewOutput[],
  onEvents: EvaluateBatchOptions['onEvents'],
): Promise<void> {
  const endpointIds = await storing(database, async (transaction, subscriptions) => {
    await keepOutputs(transaction, outputs);
    let notified: readonly string[] = [];
    if (subscriptions.length > 0) {
      // As it is kept: somebody else may have been faster.
      const kept = await readOutputs(transaction, page.map(keyOf));
      const events = page.map((place, i) => ({
        acceptedAt: place.part.acceptedAt,
        event: eventOf(place, kept[i]),
      }));
      notified = await recordEventsByTime(transaction, subscriptions, events);
    }
    const replays = page.filter(({ part }) => part.isReplay);
    await finishReplayEvaluations(
      transaction,
      batchId,
      replays.map(({ part: { requestId }, key }) => ({ requestId, key })),
    );
    const done = page.filter(({ part, isLast }) => isLast && part.chunk === undefined && !part.isReplay);
    await finishRequests(
      transaction,
      batchId,
      done.map(({ part }) => part.requestId),
    );
    return notified;
  });
  if (endpointIds.length > 0) onEvents(endpointIds);
}

function eventOf({ part, id, key }: Place, kept: KeptOutput | undefined): OutboxEvent {
  const about = { namespace: part.namespace, objectId: id, requestId: part.requestId, key };
  return kept?.error != null
    ? { ...about, type: 'workflow.failed', error: `evaluation failed: ${kept.error}` }
    : { ...about, type: 'workflow.succeeded', output: kept?.output ?? EMPTY_OUTPUT };
}

/**
 * Ends the wait of chunks, and of requests that turned out to have no objects. A chunk's import is locked by that, and
 * ending it may take minutes: it comes when nothing else is locked.
 */
async function finishRest(
  database: Database,
  batchId: BatchId,
  parts: readonly WaitingObjects[],
): Promise<void> {
  const empty = parts.filter(({ chunk, objects }) => chunk === undefined && objects.length === 0);
  if (empty.length > 0) {
    await database.transaction((transaction) =>
      finishRequests(
        transaction,
        batchId,
        empty.map(({ requestId }) => requestId),
      ),
    );
  }
  for (const { requestId, chunk } of parts) {
    if (chunk !== undefined) await finishChunkEvaluation(database, { requestId, chunk, batchId });
  }
}

/** Does something until it is to stop: what is begun then is left alone. @throws HandedBackError then */
async function unlessStopping<T>(stopping: AbortSignal, run: () => Promise<T>): Promise<T> {
  const handBack = (): HandedBackError => new HandedBackError('the worker stops');
  if (stopping.aborted) throw handBack();
  let onStop: () => void = () => undefined;
  const stopped = new Promise<never>((_, reject) => {
    onStop = () => reject(handBack());
    stopping.addEventListener('abort', onStop);
  });
  try {
    return await Promise.race([run(), stopped]);
  } finally {
    stopping.removeEventListener('abort', onStop);
  }
}
