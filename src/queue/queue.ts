/**
 * The queue as the rest of Inlet sees it. One implementation stands behind it, BullMQ, on either of two
 * backends; one suite of tests holds for both.
 */
import type { Batch, BatchRequest, Replay, Stamp } from '../domain/batch.ts';
import type { BatchId } from '../domain/request-id.ts';
import { UnavailableError } from '../errors.ts';
import type { ByLane, Lane } from './lane.ts';

/** A batch before the queue has stamped it. */
export interface UnstampedBatch {
  readonly id: BatchId;
  readonly requests: readonly BatchRequest[];
  readonly objects: string;
  /** Its stamp, where that is not to be taken when it is added: all chunks of an import have that of its upload's beginning. */
  readonly stamped?: Stamp;
  /** What the job is about instead of requests. */
  readonly replay?: Replay;
}

/** A batch that is still in the queue. */
export interface QueuedBatch {
  readonly acceptedAt: number;
  readonly stamp?: number;
  readonly requests: readonly BatchRequest[];
  /** Whether a worker has ever begun with it. Never goes back to false. */
  readonly started: boolean;
}

/** How much is in the queue. */
export interface QueueLoad {
  /** Batches that wait or are being worked on. */
  readonly depth: ByLane<number>;
  /** How long ago the oldest of them was made, in milliseconds; 0 where there is none. */
  readonly oldestAgeMs: number;
  /** How far the clock of the queue's server was behind what it has stamped, in milliseconds, as this process saw it last. */
  readonly clockBehindMs: number;
  /** The memory that the queue's server takes up and may take up before batches are refused; of Redis with a limit only. */
  readonly memory: { readonly usedBytes: number; readonly limitBytes: number } | undefined;
}

/** What to do about what makes the queue less durable than an acknowledgement promises. */
export interface DurabilityOptions {
  /** Whether batches are refused while there is anything, and over a connection that was not looked at yet. */
  readonly required: boolean;
  /** What was found before; undefined where nothing could be. */
  readonly known: readonly string[] | undefined;
  /** Told of all that there is now, whenever that has changed. Must not throw. */
  readonly onChange: (weaknesses: readonly string[]) => void;
}

/**
 * The queue can't be reached, did not answer in time or is full. What was being added may or may not have
 * been taken where the connection broke after it was sent; adding it once more does no harm.
 */
export class QueueUnavailableError extends UnavailableError {
  override readonly name: string = 'QueueUnavailableError';
}

/** The queue's server could lose what it was given, and that is not allowed. Nothing was added. */
export class QueueNotDurableError extends QueueUnavailableError {
  override readonly name = 'QueueNotDurableError';
}

/** The queue's server holds the queue of another Inlet. Nothing that was added counts. */
export class ForeignQueueError extends QueueUnavailableError {
  override readonly name = 'ForeignQueueError';
}

/** What a queue keeps of itself, as stamps. */
export interface QueueMarks {
  /** The first one of the queue: another one means that it was emptied, or is another. */
  readonly born: number;
  /** The greatest one that anything was added with. */
  readonly last: number;
  /** The greatest one that there was when a write was stored; 0 where none was. */
  readonly stored: number;
  /** The greatest one that the database was told to be acknowledged, which the queue knows before the database does. */
  readonly told: number;
  /** The greatest one with which this process has added something; 0 where there is none. */
  readonly own: number;
}

/** Marks that the database has too. */
export type MarkName = 'stored' | 'told';

/** Stamps that are greater than `from`, up to `to`. */
export interface StampRange {
  readonly from: number;
  readonly to: number;
}

/** What is known of a queue that was not always this one: whether what was acknowledged is still in it. */
export interface QueueContinuity {
  /** The greatest stamp that this process knows to have been acknowledged; 0 where there is none. */
  readonly acknowledged: number;
  /** Writes that were acknowledged and that the queue, as an older copy of itself, had no longer, as this process has noticed it. */
  readonly gaps: readonly StampRange[];
  /** Tells of a stamp that is known to have been acknowledged, by any process. */
  knows(stamp: number): void;
  /**
   * The marks of the queue, which is made this Inlet's where it is nobody's.
   * @throws ForeignQueueError, QueueUnavailableError
   */
  marks(): Promise<QueueMarks>;
  /**
   * Raises a mark.
   * @throws QueueUnavailableError
   */
  mark(name: MarkName, stamp: number): Promise<void>;
  /** The requests that this process has had acknowledged lately, with stamps of the range. */
  remembered(range: StampRange): readonly string[];
  /** Why nothing is acknowledged any more; undefined where that isn't so. */
  readonly disowned: string | undefined;
  /** Acknowledges nothing for that reason: the queue turned out not to be this Inlet's. Undefined: it is again. */
  disown(reason: string | undefined): void;
}

/** Thrown by a handler that gives its batch back because the process stops; the batch is then due at once. */
export class HandedBackError extends Error {
  override readonly name = 'HandedBackError';
}

/**
 * Thrown by a handler a part of whose batch can't be stored for a reason that may pass. How often that has happened is kept
 * with the job, whichever workers have had it.
 */
export class RefusedError extends Error {
  override readonly name: string = 'RefusedError';
  /** How often, this time included where it counts. */
  readonly refusals: number;
  /** Whether this time counts: it doesn't where the store takes nothing from anybody, or somebody holds a lock. */
  readonly counts: boolean;

  /** @param before how often it has happened before */
  constructor(message: string, before: number, counts: boolean, options?: ErrorOptions) {
    super(message, options);
    this.refusals = counts ? before + 1 : before;
    this.counts = counts;
  }
}

/** The producer's side. Every call fails within a few seconds rather than wait for a queue that is away. */
export interface BatchQueue {
  /**
   * Stamps the batch and adds it as one job. Resolves when the job is on disk. The stamp is taken after the last
   * request has joined, so a write that is sent after another was acknowledged is always stamped later, whichever
   * API process takes it. Each lane has a line of its own, in which no batch of another has to wait.
   * @param isWanted asked right before the job is sent: whether anybody still waits for it
   * @throws QueueUnavailableError
   */
  add(batch: UnstampedBatch, isWanted?: () => boolean): Promise<void>;
  /**
   * Takes a stamp: greater than those of all batches acknowledged before, smaller than those of all that are stamped after.
   * @throws QueueUnavailableError
   */
  stamp(): Promise<Stamp>;
  /**
   * Looks a batch up by its id; undefined when it isn't there (done, or never added), is a chunk of an import or a replay.
   * @throws QueueUnavailableError; UnknownPayloadError where a newer version has put it there, and it can't be read
   */
  find(id: BatchId): Promise<QueuedBatch | undefined>;
  /**
   * The ids of all batches of the lane `writes` that wait or are being worked on, newest first. A batch that is there
   * from before the call to after it is among them.
   * @throws QueueUnavailableError
   */
  batchIds(): Promise<readonly BatchId[]>;
  /**
   * How much is in the queue. Cheap enough to be asked once a second by every process, however full it is.
   * @throws QueueUnavailableError
   */
  load(): Promise<QueueLoad>;
  /**
   * How many chunks of imports are not stored: they wait, are being worked on, or have failed and are tried again.
   * @throws QueueUnavailableError
   */
  importBacklog(): Promise<number>;
  /**
   * How many batches of a lane a worker could take at this moment: none where the lane was paused, or as many are
   * being worked on as may be at one time.
   * @throws QueueUnavailableError
   */
  takeable(lane: Lane): Promise<number>;
  readonly continuity: QueueContinuity;
  /**
   * Whether there is the queue of a version whose keys carried no id.
   * @throws QueueUnavailableError
   */
  hasEarlier(): Promise<boolean>;
  /**
   * Adds a batch that a version has left in such a queue, where it keeps its place in the order.
   * @throws QueueUnavailableError, also where the batch is another Inlet's
   */
  takeOver(batch: Batch, lane: Lane): Promise<void>;
  /** Whether the queue answers now; never throws. */
  isUp(): Promise<boolean>;
  /**
   * Why a queue that is up takes no batches at this moment: a code of its server. Undefined where it takes them. Tries a
   * small write, unless batches were refused just before; never throws.
   */
  writeRefusal(): Promise<string | undefined>;
  /** What makes the queue less durable than an acknowledgement promises, a line each; empty when nothing. */
  weaknesses(): Promise<readonly string[]>;
  /**
   * Looks at the weaknesses now, again after each reconnect, and every few seconds. Where durability is required,
   * `add` throws a {@link QueueNotDurableError} from now on while there are any. Resolves after the first look.
   */
  watchDurability(options: DurabilityOptions): Promise<void>;
  close(): Promise<void>;
}

/**
 * Stores one batch. The job completes when it resolves; when it rejects the job is kept and tried again
 * later. `stopping` is aborted when the process is to stop: a handler that waits for something should then
 * throw a {@link HandedBackError}, and the job goes to another worker.
 */
export type BatchHandler = (batch: Batch, stopping: AbortSignal) => Promise<void>;

/** The consumer's side: hands batches to a handler until closed. */
export interface BatchConsumer {
  /** Takes no more batches, waits for those in hand (at most `graceMs`), then lets go of them. */
  close(graceMs: number): Promise<void>;
}

interface ConsumerOptions {
  /** Batches in hand at one time. */
  readonly concurrency: ByLane<number>;
  /** Takes a batch that an earlier version has put into another lane than its own: there it may hold others up. */
  readonly queue: Pick<BatchQueue, 'add' | 'hasEarlier' | 'takeOver'>;
}

/** A queue of tasks, each of which is nothing but an id. */
export interface TaskQueue {
  /**
   * Adds tasks. One that is in the queue already, waiting or being worked on, isn't added once more: where it is
   * to be done after that, somebody has to add it again.
   * @throws QueueUnavailableError
   */
  add(ids: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/**
 * Does a task. It is over when this resolves; when it rejects it is tried again later. `stopping` is aborted when
 * the process is to stop: a handler that still has much to do should then throw a {@link HandedBackError}.
 */
export type TaskHandler = (id: string, stopping: AbortSignal) => Promise<void>;

/** A queue on one backend, for either side. */
export interface QueueProvider {
  openQueue(): BatchQueue;
  consume(handler: BatchHandler, options: ConsumerOptions): BatchConsumer;
  /** The two sides of a queue of tasks. It needs a name of its own. */
  openTasks(): TaskQueue;
  consumeTasks(handler: TaskHandler, options: { readonly concurrency: number }): BatchConsumer;
}
