/** The queue on BullMQ, the same for both backends. One batch is one job; the job's id is the batch's. */
import type { Job, JobType, Queue, Worker } from 'bullmq';
import { isNotConnectionError } from 'bullmq';
import type { Batch, BatchPayload } from '../domain/batch.ts';
import { PAYLOAD_VERSION, readPayload } from '../domain/batch.ts';
import type { BatchId } from '../domain/request-id.ts';
import type { Backend, Producer } from './backend.ts';
import type {
  BatchConsumer,
  BatchQueue,
  ConsumerOptions,
  QueuedBatch,
  QueueProvider,
  UnstampedBatch,
} from './queue.ts';
import { HandedBackError, QueueUnavailableError } from './queue.ts';
import { keepSchedule } from './schedule.ts';

const JOB_NAME = 'batch';

/**
 * As good as for ever, and the most that both backends can count to: a batch leaves the queue when it is
 * stored, never because it was tried, or its worker died, too often.
 */
const NO_LIMIT = 2 ** 31 - 1;

/**
 * The states of jobs that aren't done. On Postgres BullMQ reads one after the other, and a job may go from one
 * that is still to be read to one that was: a list of them therefore reads all of them twice.
 */
const PENDING: JobType[] = ['waiting', 'prioritized', 'delayed', 'active', 'failed'];

const JOB_OPTIONS = {
  attempts: NO_LIMIT,
  backoff: { type: 'custom' },
  removeOnComplete: true,
  removeOnFail: false,
  // What went wrong is in the log; a job that is tried for days should not grow.
  stackTraceLimit: 1,
} as const;

/** Jobs without a priority come before all that have one. */
const IMPORT_PRIORITY = { priority: 1 } as const;

/**
 * How long a job stays with a worker that doesn't renew its lock, and how often the others look for such
 * jobs, in milliseconds: a killed worker's batches are taken over within about the sum.
 */
const LOCK_DURATION_MS = 20_000;
const STALLED_INTERVAL_MS = 10_000;

/** How long a worker takes no jobs after the queue's server has refused it one, in milliseconds. */
const PAUSE_AFTER_ERROR_MS = 1_000;

/** Told of what BullMQ reports outside of a call. */
export type OnQueueError = (error: Error) => void;

/** The queue on `backend`. */
export function bullmqProvider(backend: Backend, onError: OnQueueError): QueueProvider {
  return {
    openQueue: () => new BullmqQueue(backend.openProducer(), onError),
    consume: (handler, options) =>
      new BullmqConsumer(backend, (job, stopping) => handler(batchOf(job), stopping), options, onError),
    scheduleEvery(name, everyMs, handler) {
      // The next run is due anyway; one that failed is not to be kept and tried in between.
      const run: RunJob = (_job, stopping) => handler(stopping).catch(onError);
      const consumer = new BullmqConsumer(backend, run, { concurrency: 1 }, onError);
      return keepSchedule(backend, consumer, { name, everyMs, onError });
    },
  };
}

class BullmqQueue implements BatchQueue {
  readonly #producer: Producer;
  readonly #onError: OnQueueError;
  #queue: Queue | undefined;

  constructor(producer: Producer, onError: OnQueueError) {
    this.#producer = producer;
    this.#onError = onError;
  }

  async add(batch: UnstampedBatch): Promise<void> {
    await this.#call(async (queue) => {
      if (!(await this.#producer.hasRoom())) throw new QueueUnavailableError('the queue is full');
      const payload: BatchPayload = {
        version: PAYLOAD_VERSION,
        acceptedAt: batch.stampedAt ?? (await this.#producer.clock()),
        requests: batch.requests,
        objects: batch.objects,
      };
      const isImport = batch.requests.some((request) => request.import);
      const priority = isImport ? IMPORT_PRIORITY : {};
      await queue.add(JOB_NAME, payload, { ...JOB_OPTIONS, ...priority, jobId: jobId(batch.id) });
    });
  }

  async find(id: BatchId): Promise<QueuedBatch | undefined> {
    const job: Job | undefined = await this.#call((queue) => queue.getJob(jobId(id)));
    if (!job) return undefined;
    const { acceptedAt, requests } = readPayload(id, job.data);
    return { acceptedAt, requests, started: job.attemptsStarted > 0 };
  }

  async batchIds(): Promise<readonly BatchId[]> {
    const jobs = await this.#call((queue) => queue.getRanges([...PENDING, ...PENDING], 0, -1));
    return jobs
      .filter((id) => id.startsWith(JOB_ID_PREFIX))
      .map((id) => id.slice(JOB_ID_PREFIX.length))
      .sort()
      .reverse();
  }

  async depth(): Promise<number> {
    const counts = await this.#call((queue) => queue.getJobCounts(...PENDING));
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  }

  clock(): Promise<number> {
    return this.#call(() => this.#producer.clock());
  }

  async backlog(): Promise<number> {
    const counts = await this.#call((queue) => queue.getJobCounts('waiting', 'prioritized'));
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  }

  async isUp(): Promise<boolean> {
    if (!this.#producer.isConnected()) return false;
    return this.#producer.clock().then(
      () => true,
      () => false,
    );
  }

  weaknesses(): Promise<readonly string[]> {
    return this.#call(() => this.#producer.weaknesses());
  }

  async close(): Promise<void> {
    await this.#queue?.close();
    await this.#producer.close();
  }

  async #call<T>(use: (queue: Queue) => Promise<T>): Promise<T> {
    if (!this.#producer.isConnected()) throw new QueueUnavailableError('no connection to the queue');
    try {
      return await use(await this.#open());
    } catch (cause) {
      if (cause instanceof QueueUnavailableError) throw cause;
      throw new QueueUnavailableError((cause as Error).message, { cause });
    }
  }

  /** A BullMQ queue whose first connection fails stays broken for good, so a new one is made then. */
  async #open(): Promise<Queue> {
    if (!this.#queue) {
      const queue = this.#producer.createQueue();
      queue.on('error', this.#onError);
      this.#queue = queue;
    }
    const queue = this.#queue;
    try {
      await queue.waitUntilReady();
    } catch (error) {
      if (this.#queue === queue) this.#queue = undefined;
      queue.close().catch(this.#onError);
      throw error;
    }
    return queue;
  }
}

type RunJob = (job: Job, stopping: AbortSignal) => Promise<void>;

class BullmqConsumer implements BatchConsumer {
  readonly #backend: Backend;
  readonly #run: RunJob;
  readonly #options: ConsumerOptions;
  readonly #onError: OnQueueError;
  readonly #stopping = new AbortController();
  #worker: Worker;

  constructor(backend: Backend, run: RunJob, options: ConsumerOptions, onError: OnQueueError) {
    this.#backend = backend;
    this.#run = run;
    this.#options = options;
    this.#onError = onError;
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
    const worker = this.#backend.createWorker((job) => this.#run(job, this.#stopping.signal), {
      concurrency: this.#options.concurrency,
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
      if (!(error instanceof HandedBackError)) this.#onError(error);
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

/** Custom ids may not be whole numbers, which a ULID could be by chance. */
const JOB_ID_PREFIX = 'batch-';

function jobId(id: BatchId): string {
  return JOB_ID_PREFIX + id;
}

function batchOf(job: Job): Batch {
  return readPayload((job.id ?? '').slice(JOB_ID_PREFIX.length), job.data);
}

/** Waits 1 s after a batch's first failure and twice as long after each further one, up to a minute. */
function retryDelay(attemptsMade: number, _type?: string, error?: Error): number {
  if (error instanceof HandedBackError) return 0;
  return Math.min(1_000 * 2 ** Math.min(attemptsMade - 1, 10), 60_000);
}
