/** The queue on BullMQ, the same for both backends. One batch is one job; the job's id is the batch's. */
import type { Job, Queue } from 'bullmq';
import type { Batch, BatchPayload, Stamp } from '../domain/batch.ts';
import {
  PAYLOAD_VERSION,
  REPLAY_VERSION,
  readPayload,
  readQueuedRequests,
  stampOf,
} from '../domain/batch.ts';
import type { BatchId } from '../domain/request-id.ts';
import { batchTime, requestIdAt } from '../domain/request-id.ts';
import type { Backend, LaneLoad, Producer } from './backend.ts';
import { PENDING } from './backend.ts';
import type { OnQueueError, RunJob } from './bullmq-consumer.ts';
import { BullmqConsumer, JOB_OPTIONS } from './bullmq-consumer.ts';
import { ClockWatch } from './clock-watch.ts';
import { Continuity } from './continuity.ts';
import { DurabilityWatch } from './durability.ts';
import { EarlierConsumer } from './earlier-consumer.ts';
import type { Lane } from './lane.ts';
import { byLane, LANES, laneOf } from './lane.ts';
import { OpenQueues } from './open-queues.ts';
import type {
  BatchQueue,
  DurabilityOptions,
  QueuedBatch,
  QueueLoad,
  QueueProvider,
  UnstampedBatch,
} from './queue.ts';
import { ForeignQueueError, QueueUnavailableError, RefusedError } from './queue.ts';
import { consumeTasks, openTasks } from './tasks.ts';
import { WriteTrial } from './write-trial.ts';

const JOB_NAME = 'batch';

/** The job that is added to see whether any can be. */
const TRIAL_ID = 'trial';

/** The queue on `backend`. */
export function bullmqProvider(backend: Backend, onError: OnQueueError): QueueProvider {
  return {
    openQueue: () => new BullmqQueue(backend.openProducer(), onError),
    consume(handler, { concurrency, queue }) {
      const runIn =
        (lane: Lane): RunJob =>
        async (job, stopping) => {
          const batch = batchOf(job);
          if (laneOf(batch) === lane) await countRefusals(job, handler(batch, stopping));
          else await queue.add(inItsPlace(batch));
        };
      const consumers = LANES.map(
        (lane) =>
          new BullmqConsumer({ backend, lane, run: runIn(lane), concurrency: concurrency[lane], onError }),
      );
      const earlier = new EarlierConsumer({
        createWorker: backend.createEarlierWorker,
        isWanted: () => queue.hasEarlier(),
        run: (lane) => (job) => queue.takeOver(batchOf(job), lane),
        onError,
      });
      return {
        async close(graceMs) {
          await Promise.all([...consumers, earlier].map((consumer) => consumer.close(graceMs)));
        },
      };
    },
    openTasks: () => openTasks(backend, onError),
    consumeTasks: (handler, { concurrency }) => consumeTasks(backend, handler, concurrency, onError),
  };
}

/** A batch to be added anew, which keeps its place in the order of writes. */
function inItsPlace(batch: Batch): UnstampedBatch {
  return { ...batch, stamped: { ...batch, stamp: stampOf(batch) } };
}

class BullmqQueue implements BatchQueue {
  readonly #producer: Producer;
  readonly #queues: OpenQueues;
  /** Those of a version without ids. */
  readonly #earlier: OpenQueues;
  #hasEarlier: boolean | undefined;
  readonly #trial: WriteTrial;
  readonly #clock: ClockWatch;
  readonly continuity: Continuity;
  #durability: DurabilityWatch | undefined;

  constructor(producer: Producer, onError: OnQueueError) {
    this.#producer = producer;
    this.#queues = new OpenQueues(producer, producer.createQueue, onError);
    const { createQueue } = producer.earlier ?? producer;
    this.#earlier = new OpenQueues(producer, createQueue, onError);
    this.#trial = new WriteTrial(() => this.#tryWrite());
    this.#clock = new ClockWatch(onError);
    this.continuity = new Continuity({
      claim: (floor) => this.#queues.call('writes', () => producer.claim(floor)),
      marks: () => this.#queues.call('writes', () => producer.marks()),
      mark: (name, stamp) => this.#queues.call('writes', () => producer.mark(name, stamp)),
    });
  }

  async add(batch: UnstampedBatch, isWanted = () => true): Promise<void> {
    await this.#queues.call(laneOf(batch), async (queue) => {
      // Both at once: a batch waits for one answer of the queue's server, and not for two.
      const [hasRoom, now] = await Promise.all([this.#producer.hasRoom(), this.#readStamp()]);
      if (!hasRoom) throw new QueueUnavailableError('the queue is full');
      const { stamp, acceptedAt } = batch.stamped ?? now;
      const payload: BatchPayload = {
        version: batch.replay ? REPLAY_VERSION : PAYLOAD_VERSION,
        ...{ acceptedAt, stamp },
        requests: batch.requests,
        objects: batch.objects,
        ...(batch.replay ? { replay: batch.replay } : {}),
      };
      if (!isWanted()) throw new QueueUnavailableError('nobody waits for the batch any more');
      const options = { ...JOB_OPTIONS, jobId: jobId(batch.id) };
      const add = () => queue.add(JOB_NAME, payload, options);
      const { own } = this.continuity;
      const send = () => this.#trial.watch(() => this.#producer.addStamped(now.stamp, own, add));
      const last = await (this.#durability ? this.#durability.guard(send) : send());
      this.continuity.remember(last, requestIdsLater(batch));
    });
  }

  async find(id: BatchId): Promise<QueuedBatch | undefined> {
    const [job] = (await this.#each('writes', (queue) => queue.getJob(jobId(id)))).filter(Boolean);
    if (!job) {
      // Another Inlet's queue says nothing of this one's batches.
      await this.continuity.marks();
      return undefined;
    }
    return { ...readQueuedRequests(id, job.data), started: job.attemptsStarted > 0 };
  }

  async batchIds(): Promise<readonly BatchId[]> {
    // On Postgres BullMQ reads one state after the other, and a job may go from one that is still to be read to one
    // that was: therefore all of them are read twice.
    const jobs = await this.#each('writes', (queue) => queue.getRanges([...PENDING, ...PENDING], 0, -1));
    return batchIdsOf([...new Set(jobs.flat())])
      .sort()
      .reverse();
  }

  async load(): Promise<QueueLoad> {
    const laneLoad = async (lane: Lane): Promise<LaneLoad> => {
      const loads = await this.#each(lane, (queue) => this.#producer.laneLoad(lane, queue));
      return {
        count: loads.reduce((sum, { count }) => sum + count, 0),
        oldest: loads.flatMap(({ oldest }) => oldest),
      };
    };
    const [memory, ...loads] = await Promise.all([
      this.#queues.call('writes', () => this.#producer.memory()),
      ...LANES.map(laneLoad),
    ]);
    const now = Date.now();
    const times = batchIdsOf(loads.flatMap(({ oldest }) => oldest)).map(batchTime);
    return {
      depth: byLane((lane) => loads[LANES.indexOf(lane)]?.count ?? 0),
      // 0 as well where the clock of the machine that made the batch is ahead.
      oldestAgeMs: Math.max(0, now - Math.min(now, ...times)),
      clockBehindMs: this.#clock.behindMs,
      memory,
    };
  }

  async hasEarlier(): Promise<boolean> {
    const { earlier } = this.#producer;
    this.#hasEarlier ??= earlier !== undefined && (await this.#queues.call('writes', () => earlier.exists()));
    return this.#hasEarlier;
  }

  async takeOver(batch: Batch, lane: Lane): Promise<void> {
    const { earlier } = this.#producer;
    const isOurs = await this.#earlier.call(lane, async () => earlier?.hasOurs(lane, jobId(batch.id)));
    if (!isOurs) throw new ForeignQueueError(`batch ${batch.id} is in the queue of another Inlet`);
    await this.add(inItsPlace(batch));
  }

  /** Asks the earlier queue, where there is one, and then that of this version: batches go from the one to the other. */
  async #each<T>(lane: Lane, ask: (queue: Queue) => Promise<T>): Promise<T[]> {
    const earlier = (await this.hasEarlier()) ? [await this.#earlier.call(lane, ask)] : [];
    return [...earlier, await this.#queues.call(lane, ask)];
  }

  stamp(): Promise<Stamp> {
    return this.#queues.call('writes', async () => {
      const stamp = await this.#readStamp();
      const { own } = this.continuity;
      this.continuity.knows(await this.#producer.addStamped(stamp.stamp, own, async () => undefined));
      return stamp;
    });
  }

  async #readStamp(): Promise<Stamp> {
    const stamp = await this.continuity.stamp(() => this.#producer.readStamp());
    this.#clock.saw(stamp);
    return stamp;
  }

  importBacklog(): Promise<number> {
    return this.#queues.call('imports', async (queue) => {
      const counts = await queue.getJobCounts(...PENDING);
      return Object.values(counts).reduce((sum, count) => sum + count, 0);
    });
  }

  takeable(lane: Lane): Promise<number> {
    return this.#queues.call(lane, async (queue) => {
      if ((await queue.isPaused()) || (await queue.isMaxed())) return 0;
      return queue.getWaitingCount();
    });
  }

  async isUp(): Promise<boolean> {
    if (!this.#producer.isConnected()) return false;
    return this.#producer.ping().then(
      () => true,
      () => false,
    );
  }

  async writeRefusal(): Promise<string | undefined> {
    return this.continuity.disowned ?? this.#trial.refusal();
  }

  /** Adds a job that nobody takes, in place of that of the last time. */
  #tryWrite(): Promise<unknown> {
    return this.#queues.call('trial', async (queue) => {
      // A batch needs a stamp before anything else.
      await this.#readStamp();
      await queue.remove(TRIAL_ID);
      const add = () => queue.add(TRIAL_ID, {}, { jobId: TRIAL_ID });
      return this.#producer.addStamped(0, this.continuity.own, add);
    });
  }

  weaknesses(): Promise<readonly string[]> {
    return this.#queues.call('writes', () => this.#producer.weaknesses());
  }

  async watchDurability(options: DurabilityOptions): Promise<void> {
    const watch = new DurabilityWatch(() => this.weaknesses(), options);
    this.#durability = watch;
    this.#producer.onConnectionChange((isConnected) => watch.connectionChanged(isConnected));
    await watch.check();
  }

  async close(): Promise<void> {
    this.#durability?.close();
    await this.#earlier.close();
    await this.#queues.close();
    await this.#producer.close();
  }
}

/** Tells the ids of a batch's requests when they are asked for; keeps nothing else of the batch. */
function requestIdsLater({ id, requests }: UnstampedBatch): () => readonly string[] {
  const { length } = requests;
  const importId = requests[0]?.import?.requestId;
  return () => (importId === undefined ? Array.from({ length }, (_, i) => requestIdAt(id, i)) : [importId]);
}

/** Custom ids may not be whole numbers, which a ULID could be by chance. */
const JOB_ID_PREFIX = 'batch-';

function jobId(id: BatchId): string {
  return JOB_ID_PREFIX + id;
}

function batchIdsOf(jobIds: readonly string[]): BatchId[] {
  return jobIds.filter((id) => id.startsWith(JOB_ID_PREFIX)).map((id) => id.slice(JOB_ID_PREFIX.length));
}

function batchOf(job: Job): Batch {
  const batch = readPayload((job.id ?? '').slice(JOB_ID_PREFIX.length), job.data);
  if (job.attemptsStarted <= 1) return batch;
  // A job's progress is where BullMQ lets a worker keep a number with it.
  return { ...batch, isRetried: true, refusals: typeof job.progress === 'number' ? job.progress : 0 };
}

/** Keeps with a job how often a part of its batch was refused. */
async function countRefusals(job: Job, handled: Promise<void>): Promise<void> {
  try {
    await handled;
  } catch (error) {
    // Where the queue is away the job is taken again, with the count of before.
    if (error instanceof RefusedError) await job.updateProgress(error.refusals).catch(() => undefined);
    throw error;
  }
}
