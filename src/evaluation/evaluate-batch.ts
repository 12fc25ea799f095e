/** Evaluates a batch: its objects as they are now, page by page. What came of a page is kept before the next is read. */
import { EMPTY_OUTPUT } from '../domain/output.ts';
import type { BatchId } from '../domain/request-id.ts';
import { HandedBackError } from '../queue/queue.ts';
import type { Database } from '../store/database.ts';
import type { WaitingObjects } from '../store/evaluations.ts';
import { finishRequests, readWaiting } from '../store/evaluations.ts';
import { isRefusal } from '../store/faults.ts';
import { finishChunkEvaluation } from '../store/imports.ts';
import type { CurrentVersion, KeptOutput, NewOutput, ObjectKey } from '../store/outputs.ts';
import { keepOutputs, readCurrent, readOutputs } from '../store/outputs.ts';
import { finishReplayEvaluations } from '../store/replay-evaluations.ts';
import type { OutboxEvent } from '../store/webhook-outbox.ts';
import { recordEvents, storing } from '../store/webhook-outbox.ts';
import type { Evaluation } from './evaluator.ts';
import type { EvaluationInput } from './thread-messages.ts';

/**
 * How far a page goes: a worker that is killed loses what isn't kept, and each page costs a transaction. A page is full when
 * its evaluations have taken so long (milliseconds), or have answered so much (characters); those that have begun then
 * still belong to it.
 */
const PAGE = { objects: 500, ms: 1_000, output: 8 * 1024 * 1024 } as const;

/**
 * Most output that a page has, in characters: of what has begun when it is full, the rest is evaluated again. From then on no
 * more objects of the batch are evaluated at one time than have room.
 */
const MOST_OUTPUT = 64 * 1024 * 1024;

/** About how much output one transaction keeps, in characters. */
const KEPT_AT_ONCE = 8 * 1024 * 1024;

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
 * @throws HandedBackError where it is to stop; StoreUnavailableError, or pg.DatabaseError where Postgres refuses what came of
 *   an object: then its request or chunk goes on waiting. What is done stays done.
 */
export async function evaluateBatch(
  database: Database,
  batchId: BatchId,
  options: EvaluateBatchOptions,
): Promise<EvaluationOutcome> {
  const parts = await readWaiting(database, batchId);
  const places = parts.flatMap(placesOf);
  const counts = { succeeded: 0, failed: 0, timedOut: 0, skipped: 0 };
  const refused = new Map<WaitingObjects, unknown>();
  const keeping = { database, batchId, refused, onEvents: options.onEvents };
  let largest = 1;
  for (let from = 0; from < places.length; ) {
    const page = places.slice(from, from + PAGE.objects);
    const { done, outputs, tally, ...evaluated } = await evaluatePage(database, page, largest, options);
    largest = Math.max(largest, evaluated.largest);
    for (const name of ['succeeded', 'failed', 'timedOut', 'skipped'] as const) counts[name] += tally[name];
    for (let kept = 0; kept < done; ) {
      kept += await keepAllowed(page.slice(kept, done), outputs, keeping);
    }
    from += done;
  }
  await finishRest(
    database,
    batchId,
    parts.filter((part) => !refused.has(part)),
  );
  for (const error of refused.values()) throw error;
  return { requests: parts.length, objects: places.length, ...counts };
}

function placesOf(part: WaitingObjects): Place[] {
  const last = part.objects.length - 1;
  return part.objects.map((object, i) => ({ part, ...object, isLast: i === last }));
}

/** What came of objects, each by {@link nameOf}. */
type Outputs = ReadonlyMap<string, NewOutput>;

interface EvaluatedPage {
  /** How many of its places are done with. It may be none where there was no room for the output of the first. */
  readonly done: number;
  readonly outputs: Outputs;
  /** Length of the largest output, also of those there was no room for. */
  readonly largest: number;
  readonly tally: Record<Tallied, number>;
}

/**
 * Evaluates places from the first on, until the page is full.
 * @param largest length of the largest output of the batch so far
 */
async function evaluatePage(
  database: Database,
  page: readonly Place[],
  largest: number,
  { evaluator, stopping }: EvaluateBatchOptions,
): Promise<EvaluatedPage> {
  const tally = { succeeded: 0, failed: 0, timedOut: 0, skipped: page.length };
  if (!evaluator) return { done: page.length, outputs: new Map(), largest, tally };
  const versions = await readCurrent(database, page.map(keyOf));
  // Several requests of a batch may have written the same object.
  const waiting = new Map<string, CurrentVersion>();
  for (const version of versions) if (version.state === 'waiting') waiting.set(nameOf(version), version);
  const atOnce = Math.max(1, Math.min(evaluator.concurrency, Math.floor(MOST_OUTPUT / largest)));
  const results = await unlessStopping(stopping, () =>
    evaluateSome([...waiting.values()], evaluator, atOnce, stopping),
  );
  const outputs = new Map(results.evaluated.map(({ output }) => [nameOf(output), output]));
  for (const { outcome } of results.evaluated) tally[outcome === 'timed_out' ? 'timedOut' : outcome] += 1;
  const first = versions.findIndex(
    (version) => waiting.has(nameOf(version)) && !outputs.has(nameOf(version)),
  );
  const done = first === -1 ? versions.length : first;
  tally.skipped = done - results.evaluated.length;
  return { done, outputs, largest: results.largest, tally };
}

type Tallied = 'succeeded' | 'failed' | 'timedOut' | 'skipped';

function keyOf({ part: { namespace }, id }: Place): ObjectKey {
  return { namespace, id };
}

/** No namespace holds a space. */
function nameOf({ namespace, id }: ObjectKey): string {
  return `${namespace} ${id}`;
}

interface Evaluated {
  readonly outcome: Evaluation['outcome'];
  readonly output: NewOutput;
}

/**
 * Evaluates objects until they are enough for a page.
 * @returns what came of those from the first on, without a gap; and the length of the largest output
 */
async function evaluateSome(
  versions: readonly CurrentVersion[],
  evaluator: ObjectEvaluator,
  atOnce: number,
  stopping: AbortSignal,
): Promise<{ readonly evaluated: readonly Evaluated[]; readonly largest: number }> {
  const results: (Evaluated | undefined)[] = versions.map(() => undefined);
  const begun = performance.now();
  let next = 0;
  let total = 0;
  let largest = 0;
  const run = async (): Promise<void> => {
    for (;;) {
      const n = next;
      const version = versions[n];
      const isFull = total >= PAGE.output || performance.now() - begun >= PAGE.ms;
      if (!version || (isFull && n > 0)) return;
      next += 1;
      const result = await evaluateVersion(version, evaluator, stopping);
      const length = lengthOf(result.output);
      largest = Math.max(largest, length);
      if (total + length > MOST_OUTPUT) continue;
      total += length;
      results[n] = result;
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, versions.length) }, run));
  const gap = results.indexOf(undefined);
  const whole = gap === -1 ? results : results.slice(0, gap);
  return { evaluated: whole.filter((result) => result !== undefined), largest };
}

function lengthOf(output: NewOutput | undefined): number {
  return (output?.output ?? output?.error ?? '').length;
}

async function evaluateVersion(
  { namespace, id, requestId, revision, data, previous }: CurrentVersion,
  evaluator: ObjectEvaluator,
  stopping: AbortSignal,
): Promise<Evaluated> {
  const input = { namespace, id, requestId, revision, data: data ?? 'null', previous };
  const evaluation = await evaluator.evaluate(input, stopping);
  const { outcome } = evaluation;
  const kept =
    outcome === 'succeeded'
      ? { output: evaluation.output, error: null }
      : { output: null, error: evaluation.error };
  return { outcome, output: { namespace, id, revision, ...kept } };
}

/** Most objects that Postgres may refuse one by one; then it is taken to refuse all. */
const MOST_REFUSED = 10;

interface KeepOptions {
  readonly database: Database;
  readonly batchId: BatchId;
  /** What waits on, because Postgres has refused what came of one of its objects, and why. */
  readonly refused: Map<WaitingObjects, unknown>;
  readonly onEvents: EvaluateBatchOptions['onEvents'];
}

/** As {@link keepSome}, of fewer places where Postgres refuses one of them; that one is passed over when it stands alone. */
async function keepAllowed(
  places: readonly Place[],
  outputs: Outputs,
  options: KeepOptions,
): Promise<number> {
  try {
    return await keepSome(places, outputs, options);
  } catch (error) {
    const { refused } = options;
    const [first, ...others] = places;
    if (!isRefusal(error) || refused.size >= MOST_REFUSED || !first) throw error;
    if (others.length > 0) {
      return keepAllowed(places.slice(0, Math.ceil(places.length / 2)), outputs, options);
    }
    refused.set(first.part, error);
    return 1;
  }
}

/**
 * Keeps what came of places from the first on, as much as makes a transaction: writes their events, and ends the wait of the
 * requests that end there.
 * @returns of how many
 */
async function keepSome(
  places: readonly Place[],
  outputs: Outputs,
  { database, batchId, refused, onEvents }: KeepOptions,
): Promise<number> {
  const some = atOnce(places, outputs);
  const { done, endpointIds } = await storing(database, async (transaction, subscriptions) => {
    const own = new Set(some.map((place) => outputs.get(nameOf(keyOf(place)))));
    await keepOutputs(
      transaction,
      [...own].filter((output) => output !== undefined),
    );
    let done = some;
    let endpointIds: readonly string[] = [];
    if (subscriptions.length > 0) {
      // As it is kept: somebody else may have been faster, or it was evaluated before.
      const kept = await readOutputs(transaction, some.map(keyOf), KEPT_AT_ONCE);
      done = some.slice(0, kept.length);
      const events = done.map((place, i) => eventOf(place, kept[i]));
      endpointIds = await recordEvents(transaction, subscriptions, events);
    }
    const replays = done.filter(({ part }) => part.isReplay);
    await finishReplayEvaluations(
      transaction,
      batchId,
      replays.map(({ part: { requestId }, key }) => ({ requestId, key })),
    );
    const ended = done.filter(
      ({ part, isLast }) => isLast && part.chunk === undefined && !part.isReplay && !refused.has(part),
    );
    await finishRequests(
      transaction,
      batchId,
      ended.map(({ part }) => part.requestId),
    );
    return { done: done.length, endpointIds };
  });
  if (endpointIds.length > 0) onEvents(endpointIds);
  return done;
}

/** Those of some places, from the first on, whose outputs are kept in one transaction: at least one. */
function atOnce(places: readonly Place[], outputs: Outputs): readonly Place[] {
  let length = 0;
  const end = places.findIndex((place, i) => {
    length += lengthOf(outputs.get(nameOf(keyOf(place))));
    return i > 0 && length > KEPT_AT_ONCE;
  });
  return end === -1 ? places : places.slice(0, end);
}

function eventOf({ part, id, key }: Place, kept: KeptOutput | undefined): OutboxEvent {
  const { namespace, requestId, acceptedAt, stamp } = part;
  const about = { namespace, objectId: id, requestId, acceptedAt, stamp, key };
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
