/**
 * Group commit: many requests share one job of the queue, and each is answered when that job is on disk.
 *
 * Requests wait in line; whenever fewer than two enqueues are in flight, those at the head of the line leave
 * together as one batch. An idle server enqueues a request at once; a busy one forms batches of whatever came in while
 * it was busy, or comes within the few milliseconds that a batch lingers for others.
 */
import type { BatchRequest } from '../domain/batch.ts';
import type { BatchId } from '../domain/request-id.ts';
import { requestIdAt } from '../domain/request-id.ts';
import type { UnstampedBatch } from '../queue/queue.ts';
import { QueueUnavailableError } from '../queue/queue.ts';
import { Linger } from './linger.ts';

/** While one enqueue waits for the disk the next is prepared; more in flight would only make smaller batches. */
const MAX_IN_FLIGHT = 2;
/**
 * Further turns of the event loop that a batch is kept open for at most, one after each that brings requests. Clients
 * that were answered together send their next requests together, but it takes some turns to read them all.
 */
const MAX_FURTHER_TURNS = 4;
const MAX_BATCH_REQUESTS = 1_000;
/** A larger request gets a batch to itself. */
const MAX_BATCH_BYTES = 1024 * 1024;
/** Most that may stand in line, so that a slow queue costs clients a 503 and not the process its memory. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** A client is answered within five seconds, whatever the queue does. */
const MAX_WAIT_MS = 4_500;

/** The narrow part of the queue that is needed here. */
export interface BatchSink {
  /** Resolves when the batch is on disk; rejects without sending it where it isn't wanted any more. */
  add(batch: UnstampedBatch, isWanted: () => boolean): Promise<void>;
}

/** Carries the traces of requests over to the batch that they share. What stands for a trace is its own affair. */
export interface BatchTracing {
  /** The trace of the request that is being handled. */
  current(): unknown;
  /** Puts a batch into the queue as a part of the traces of its requests. */
  enqueue(id: BatchId, traces: readonly unknown[], add: () => Promise<void>): Promise<void>;
}

/** A request as it joins the line. */
export interface Submission extends BatchRequest {
  /** The objects' JSON text, separated by commas. */
  readonly objects: string;
  /** About how many bytes the request takes. */
  readonly bytes: number;
}

/** A request in line or on its way. A class, because an object literal with closures costs several times as much. */
class Waiter {
  readonly submission: Submission;
  readonly trace: unknown;
  readonly #resolve: (requestId: string) => void;
  readonly #reject: (error: Error) => void;
  readonly #timer: NodeJS.Timeout;
  #settled = false;

  constructor(
    submission: Submission,
    trace: unknown,
    resolve: (requestId: string) => void,
    reject: (error: Error) => void,
  ) {
    this.submission = submission;
    this.trace = trace;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#timer = setTimeout(expire, MAX_WAIT_MS, this);
  }

  /** Whether the client has been answered. */
  get settled(): boolean {
    return this.#settled;
  }

  accept(requestId: string): void {
    this.#settle();
    this.#resolve(requestId);
  }

  reject(error: Error): void {
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.#settled = true;
    clearTimeout(this.#timer);
  }
}

/** What of a submission travels as the request. */
function batchRequest({ namespace, ids, schema, isDelete }: Submission): BatchRequest {
  if (isDelete) return { namespace, ids, isDelete };
  return schema === undefined ? { namespace, ids } : { namespace, ids, schema };
}

function expire(waiter: Waiter): void {
  waiter.reject(new QueueUnavailableError('the queue did not answer in time'));
}

export class GroupCommit {
  readonly #sink: BatchSink;
  readonly #newBatchId: () => BatchId;
  readonly #tracing: BatchTracing | undefined;
  #line: Waiter[] = [];
  #waitingBytes = 0;
  #batchesInFlight = 0;
  #requestsInFlight = 0;
  #isGathering = false;
  #lingering: NodeJS.Timeout | undefined;
  readonly #linger = new Linger();
  readonly #onIdle: (() => void)[] = [];

  constructor(sink: BatchSink, newBatchId: () => BatchId, tracing?: BatchTracing) {
    this.#sink = sink;
    this.#newBatchId = newBatchId;
    this.#tracing = tracing;
  }

  /**
   * Puts a request in line.
   * @returns its request id, once it is durably in the queue
   * @throws QueueUnavailableError where the queue can't be reached, doesn't answer in time or is too slow
   *   for what comes in
   */
  submit(submission: Submission): Promise<string> {
    if (this.#waitingBytes > MAX_WAITING_BYTES) {
      return Promise.reject(new QueueUnavailableError('more requests wait for the queue than it can take'));
    }
    return new Promise((resolve, reject) => {
      this.#line.push(new Waiter(submission, this.#tracing?.current(), resolve, reject));
      this.#waitingBytes += submission.bytes;
      this.#scheduleFlush();
    });
  }

  /** Resolves when nobody waits any more. */
  async idle(): Promise<void> {
    if (this.#batchesInFlight === 0 && this.#line.length === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle.push(resolve);
    });
  }

  /** Once for all requests that arrive together: those share a batch even on an idle server. */
  #scheduleFlush(): void {
    if (this.#isGathering || this.#batchesInFlight >= MAX_IN_FLIGHT) return;
    if (this.#lingering && this.#lingerMs() > 0) return;
    this.#isGathering = true;
    this.#gather(MAX_FURTHER_TURNS, 0);
  }

  /** @param seen how many stood in line the turn before */
  #gather(furtherTurns: number, seen: number): void {
    setImmediate(() => {
      const { length } = this.#line;
      if (length > seen && furtherTurns > 0) {
        this.#gather(furtherTurns - 1, length);
        return;
      }
      this.#isGathering = false;
      const wait = this.#lingerMs();
      if (wait > 0) this.#lingering ??= setTimeout(() => this.#flush(), wait);
      else this.#flush();
    });
  }

  /** How long the next batch has to linger. (Not asked while two are in flight: then it leaves when one of them is answered.) */
  #lingerMs(): number {
    const { length } = this.#line;
    if (length === 0 || length >= MAX_BATCH_REQUESTS || this.#waitingBytes >= MAX_BATCH_BYTES) return 0;
    // Those that were told 503 meanwhile are among them, for a moment.
    const open = length + this.#requestsInFlight;
    const now = performance.now();
    this.#linger.saw(open, now);
    return this.#linger.waitMs(open, now);
  }

  /** Sends what may be in flight. What stands behind a full batch goes along if it may. */
  #flush(): void {
    clearTimeout(this.#lingering);
    this.#lingering = undefined;
    while (this.#batchesInFlight < MAX_IN_FLIGHT && this.#line.length > 0) void this.#send(this.#takeBatch());
    if (this.#batchesInFlight === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
  }

  #takeBatch(): Waiter[] {
    let bytes = 0;
    let count = 0;
    for (const { submission } of this.#line) {
      if (count === MAX_BATCH_REQUESTS || (count > 0 && bytes + submission.bytes > MAX_BATCH_BYTES)) break;
      bytes += submission.bytes;
      count += 1;
    }
    this.#waitingBytes -= bytes;
    // Who has been told 503 meanwhile must not be stored after all.
    return this.#line.splice(0, count).filter(({ settled }) => !settled);
  }

  async #send(batch: readonly Waiter[]): Promise<void> {
    if (batch.length === 0) return;
    const id = this.#newBatchId();
    this.#batchesInFlight += 1;
    this.#requestsInFlight += batch.length;
    this.#linger.batchLeft(performance.now());
    try {
      const unstamped = {
        id,
        requests: batch.map(({ submission }) => batchRequest(submission)),
        objects: batch.map(({ submission }) => submission.objects).join(','),
      };
      // Clients that have been told 503 may have sent something newer since.
      const add = () => this.#sink.add(unstamped, () => batch.some(({ settled }) => !settled));
      const traces = this.#tracing && batch.map(({ trace }) => trace);
      await (traces ? this.#tracing?.enqueue(id, traces, add) : add());
      batch.forEach((waiter, position) => {
        waiter.accept(requestIdAt(id, position));
      });
    } catch (error) {
      for (const waiter of batch) waiter.reject(error as Error);
    } finally {
      this.#batchesInFlight -= 1;
      this.#requestsInFlight -= batch.length;
      this.#scheduleFlush();
    }
  }
}
