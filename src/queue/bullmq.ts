/** The queue on BullMQ, the same for both backends. One batch is one job; the job's id is the batch's. */
import type { Job, Queue, Worker } from 'bullmq';
import { isNotConnectionError } from 'bullmq';
import type { BatchPayload } from '../domain/batch.ts';
import { PAYLOAD_VERSION, readPayload } from '../domain/batch.ts';
import type { BatchId } from '../domain/request-id.ts';
import type { Backend, Lane, Producer } from './backend.ts';
import { LANES } from './backend.ts';
import type {
  BatchConsumer,
  BatchHandler,
  BatchQueue,
  QueuedBatch,
  QueueProvider,
  UnstampedBatch,
} from './queue.ts';
import { HandedBackError, QueueUnavailableError } from './queue.ts';

const JOB_NAME = 'batch';

/**
 * As good as for ever, and the most that both backends can count to: a batch leaves the queue when it is
 * stored, never because it was tried, or its worker died, too often.
 */
const NO_LIMIT = 2 ** 31 - 1;

const JOB_OPTIONS = {
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
    consume(handler, { concurrency, importConcurrency }) {
      const consumers = [
        new BullmqConsumer(backend, 'writes', handler, concurrency, onError),
        new BullmqConsumer(backend, 'imports', handler, importConcurrency, onError),
      ];
      return {
        async close(graceMs) {
          await Promise.all(consumers.map((consumer) => consumer.close(graceMs)));
        },
      };
    },
  };
}

class BullmqQueue implements BatchQueue {
  readonly #producer: Producer;
  readonly #onError: OnQueueError;
  readonly #queues = new Map<Lane, Queue>();

  constructor(producer: Producer, onError: OnQueueError) {
    this.#producer = producer;
    this.#onError = onError;
  }

  async add(batch: UnstampedBatch): Promise<void> {
    const isImport = batch.requests.some((request) => request.import);
    await this.#call(isImport ? 'imports' : 'writes', async (queue) => {
      if (!(await this.#producer.hasRoom())) throw new QueueUnavailableError('the queue is full');
      const payload: BatchPayload = {
        version: PAYLOAD_VERSION,
        acceptedAt: batch.stampedAt ?? (await this.#producer.clock()),
        requests: batch.requests,
        objects: batch.objects,
      };
      await queue.add(JOB_NAME, payload, { ...JOB_OPTIONS, jobId: jobId(batch.id) });
    });
  }

  async find(id: BatchId): Promise<QueuedBatch | undefined> {
    const job: Job | undefined = await this.#call('writes', (queue) => queue.getJob(jobId(id)));
    if (!job) return undefined;
    const { acceptedAt, requests } = readPayload(id, job.data);
    return { acceptedAt, requests, started: job.attemptsStarted > 0 };
  }

  async depth(): Promise<number> {
    const counts = await Promise.all(
      LANES.map((lane) =>
        this.#call(lane, (queue) =>
          queue.getJobCounts('waiting', 'prioritized', 'delayed', 'active', 'failed'),
        ),
      ),
    );
    return counts.flatMap((count) => Object.values(count)).reduce((sum, count) => sum + count, 0);
  }

  clock(): Promise<number> {
    return this.#call('writes', () => this.#producer.clock());
  }

  importBacklog(): Promise<number> {
    return this.#call('imports', (queue) => queue.getWaitingCount());
  }

  async isUp(): Promise<boolean> {
    if (!this.#producer.isConnected()) return false;
    return this.#producer.clock().then(
      () => true,
      () => false,
    );
  }

  weaknesses(): Promise<readonly string[]> {
    return this.#call('writes', () => this.#producer.weaknesses());
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    await this.#producer.close();
  }

  async #call<T>(lane: Lane, use: (queue: Queue) => Promise<T>): Promise<T> {
    if (!this.#producer.isConnected()) throw new QueueUnavailableError('no connection to the queue');
    try {
      return await use(await this.#open(lane));
    } catch (cause) {
      if (cause instanceof QueueUnavailableError) throw cause;
      throw new QueueUnavailableError((cause as Error).message, { cause });
    }
  }

  /** A BullMQ queue whose first connection fails stays broken for good, so a new one is made then. */
  async #open(lane: Lane): Promise<Queue> {
    const queue = this.#queues.get(lane) ?? this.#create(lane);
    try {
      await queue.waitUntilReady();
    } catch (error) {
      if (this.#queues.get(lane) === queue) this.#queues.delete(lane);
      queue.close().catch(this.#onError);
      throw error;
    }
    return queue;
  }

  #create(lane: Lane): Queue {
    const queue = this.#producer.createQueue(lane);
    queue.on('error', this.#onError);
    this.#queues.set(lane, queue);
    return queue;
  }
}

/** Takes the batches of one lane. */
class BullmqConsumer implements BatchConsumer {
  readonly #backend: Backend;
  readonly #lane: Lane;
  readonly #handler: BatchHandler;
  readonly #concurrency: number;
  readonly #onError: OnQueueError;
  readonly #stopping = new AbortController();
  #worker: Worker;

  constructor(
    backend: Backend,
    lane: Lane,
    handler: BatchHandler,
    concurrency: number,
    onError: OnQueueError,
  ) {
    this.#backend = backend;
    this.#lane = lane;
    this.#handler = handler;
    this.#concurrency = concurrency;
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
    const worker = this.#backend.createWorker(this.#lane, (job) => this.#process(job), {
      concurrency: this.#concurrency,
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

  async #process(job: Job): Promise<void> {
    const id = (job.id ?? '').slice(JOB_ID_PREFIX.length);
    await this.#handler(readPayload(id, job.data), this.#stopping.signal);
  }
}

/** Custom ids may not be whole numbers, which a ULID could be by chance. */
const JOB_ID_PREFIX = 'batch-';

function jobId(id: BatchId): string {
  return JOB_ID_PREFIX + id;
}

/** Waits 1 s after a batch's first failure and twice as long after each further one, up to a minute. */
function retryDelay(attemptsMade: number, _type?: string, error?: Error): number {
  if (error instanceof HandedBackError) return 0;
  return Math.min(1_000 * 2 ** Math.min(attemptsMade - 1, 10), 60_000);
}
