/** The consumer's side on BullMQ: a worker that outlives faults of its server, and is closed with patience. */
import { setMaxListeners } from 'node:events';
import type { Job, Worker } from 'bullmq';
import { isNotConnectionError } from 'bullmq';
import { UnavailableError } from '../errors.ts';
import type { Backend } from './backend.ts';
import type { Lane } from './lane.ts';
import type { BatchConsumer } from './queue.ts';
import { HandedBackError, RefusedError } from './queue.ts';

/**
 * As good as for ever, and the most that both backends can count to: a batch leaves the queue when it is
 * stored, never because it was tried, or its worker died, too often.
 */
const NO_LIMIT = 2 ** 31 - 1;

/** How jobs are added: a job stays until it is done, however often it is tried. */
export const JOB_OPTIONS = {
  attempts: NO_LIMIT,
  backoff: { type: 'custom' },
  removeOnComplete: true,
  removeOnFail: false,
  // What went wrong is in the log; a job that is tried for days should not grow.
  stackTraceLimit: 1,
} as const;

/**
 * How long a job stays with a worker that doesn't renew its lock, and how often the others look for such
 * jobs, in milliseconds: a killed worker's batches are taken over within about the sum.
 */
const LOCK_DURATION_MS = 10_000;
const STALLED_INTERVAL_MS = 5_000;

/** How long a worker takes no jobs after the queue's server has refused it one, in milliseconds. */
const PAUSE_AFTER_ERROR_MS = 1_000;

/** Told of what BullMQ reports outside of a call. */
export type OnQueueError = (error: Error) => void;

/** Runs one job; what it throws sends the job back. */
export type RunJob = (job: Job, stopping: AbortSignal) => Promise<void>;

interface LaneOptions {
  readonly backend: Pick<Backend, 'createWorker'>;
  readonly lane: Lane;
  readonly run: RunJob;
  /** Jobs in hand at one time. */
  readonly concurrency: number;
  readonly onError: OnQueueError;
}

/** Takes the jobs of one lane, until it is closed. */
export class BullmqConsumer implements BatchConsumer {
  readonly #options: LaneOptions;
  readonly #onError: OnQueueError;
  readonly #stopping = new AbortController();
  #worker: Worker;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.#onError = options.onError;
    // As many as jobs are in hand.
    setMaxListeners(0, this.#stopping.signal);
    this.#worker = this.#start();
  }

  async close(graceMs: number): Promise<void> {
    this.#stopping.abort();
    const worker = this.#worker;
    const finished = worker.close();
    const timer = setTimeout(() => {
      // BullMQ's own forced close is a no-op once a close has begun. Without its locks being renewed the
      // jobs in hand go to another worker.
      worker.disconnect().catch(this.#onError);
    }, graceMs);
    await Promise.race([finished, new Promise((resolve) => setTimeout(resolve, graceMs + 1_000).unref())]);
    clearTimeout(timer);
  }

  #start(): Worker {
    const { backend, lane, run, concurrency } = this.#options;
    const worker = backend.createWorker(lane, (job) => run(job, this.#stopping.signal), {
      concurrency,
      lockDuration: LOCK_DURATION_MS,
      stalledInterval: STALLED_INTERVAL_MS,
      maxStalledCount: NO_LIMIT,
      runRetryDelay: 1_000,
      settings: { backoffStrategy: retryDelay },
    });
    worker.on('error', (error) => {
      this.#onError(error);
      if (isNotConnectionError(error)) this.#pause(worker);
    });
    worker.on('failed', (_job, error) => {
      // Of the others the handler has told already.
      if (!(error instanceof HandedBackError || error instanceof RefusedError)) this.#onError(error);
    });
    worker.waitUntilReady().catch((error: Error) => this.#restart(worker, error));
    return worker;
  }

  /**
   * BullMQ waits by itself where it has no connection, but where the server answers with an error (Redis that
   * is out of memory, Postgres that is starting up) it would ask again at once, thousands of times a second.
   */
  #pause(worker: Worker): void {
    if (worker.isPaused() || this.#stopping.signal.aborted) return;
    void worker.pause(true).catch(this.#onError);
    const timer = setTimeout(() => {
      if (!this.#stopping.signal.aborted) void worker.resume();
    }, PAUSE_AFTER_ERROR_MS);
    timer.unref();
  }

  /** A BullMQ worker whose first connection fails never tries again. */
  #restart(broken: Worker, error: Error): void {
    if (this.#stopping.signal.aborted) return;
    this.#onError(error);
    broken.close(true).catch(this.#onError);
    const timer = setTimeout(() => {
      if (!this.#stopping.signal.aborted) this.#worker = this.#start();
    }, 1_000);
    timer.unref();
  }
}

/** Longest waits for a server that is away, which many batches wait for, and for what is about a batch, in milliseconds. */
const LONGEST_WAIT_FOR_SERVER_MS = 10_000;
const LONGEST_WAIT_MS = 60_000;

/** Waits 1 s after a batch's first failure and twice as long after each further one. */
function retryDelay(attemptsMade: number, _type?: string, error?: Error): number {
  if (error instanceof HandedBackError) return 0;
  const isRefused = error instanceof RefusedError;
  const failures = isRefused && error.counts ? error.refusals : attemptsMade;
  const isAboutServer = error instanceof UnavailableError || (isRefused && !error.counts);
  const longest = isAboutServer ? LONGEST_WAIT_FOR_SERVER_MS : LONGEST_WAIT_MS;
  return Math.min(1_000 * 2 ** Math.min(failures - 1, 10), longest);
}
