/** What the two backends have to bring; everything else about the queue is the same for both. */
import type { JobType, Queue, Telemetry, Worker, WorkerOptions } from 'bullmq';
import type { Stamp } from '../domain/batch.ts';
import type { Lane, Line } from './lane.ts';
import type { MarkName, QueueLoad, QueueMarks } from './queue.ts';

/** How long a producer waits for the queue's server, in milliseconds, before it says that it is away. */
export const PRODUCER_TIMEOUT_MS = 4_000;

/** The states of jobs that aren't done. */
export const PENDING = [
  'waiting',
  'prioritized',
  'delayed',
  'active',
  'failed',
] as const satisfies readonly JobType[];

/** What the options of a BullMQ queue or worker get where jobs are to carry traces. */
export function tracedBy(telemetry: Telemetry | undefined): { telemetry?: Telemetry } {
  return telemetry ? { telemetry } : {};
}

type JobProcessor = NonNullable<ConstructorParameters<typeof Worker>[1]>;

export interface Backend {
  /** Opens what a producer needs. */
  openProducer(): Producer;
  /** Makes a BullMQ worker; it starts on its own. */
  createWorker: CreateWorker;
  /** As `createWorker`, for the queue of versions whose keys carried no id: what they have left is moved over. */
  readonly createEarlierWorker?: CreateWorker;
}

type CreateWorker = (
  lane: Lane,
  processor: JobProcessor,
  options: Omit<WorkerOptions, 'connection'>,
) => Worker;

/** What waits in a lane, or is being worked on. */
export interface LaneLoad {
  readonly count: number;
  /** Ids of jobs, of which one is that of the oldest; empty where there are none. */
  readonly oldest: readonly string[];
}

/** A stamp that was read, and the greatest one of before. */
export interface ReadStamp extends Stamp {
  /** Undefined: the queue has none of this Inlet's, because it is new, was emptied, or is another Inlet's. */
  readonly last: number | undefined;
  /** The greatest one with which this process has added something; 0 where there is none. */
  readonly own: number;
}

interface EarlierQueue {
  createQueue(line: Line): Queue;
  /** Whether there ever was one. */
  exists(): Promise<boolean>;
  /** Whether it has a job and lies in the same server as the queue of this Inlet: then the job is this Inlet's. */
  hasOurs(lane: Lane, jobId: string): Promise<boolean>;
}

export interface Producer {
  /** Whether a call has a chance now; where not, it should fail at once instead of being queued. */
  isConnected(): boolean;
  createQueue(line: Line): Queue;
  /** The queue of versions whose keys carried no id; undefined where this backend never had one. */
  readonly earlier?: EarlierQueue;
  /** Resolves when the server answers. */
  ping(): Promise<unknown>;
  /** Reads a stamp. It counts once {@link addStamped} has added something with it. */
  readStamp(): Promise<ReadStamp>;
  /**
   * Adds something that has a stamp: from then on greater ones are read, and it is never on disk without that.
   * @param own the greatest stamp that was returned to this process, whose mark in the queue can't be below it
   * @returns the greatest stamp of the queue then, greater than any before
   * @throws QueueUnavailableError where that isn't certain, or the queue isn't this Inlet's any more: what was to be added may
   *   or may not have been taken
   */
  addStamped(stamp: number, own: number, add: () => Promise<unknown>): Promise<number>;
  /**
   * Makes the queue this Inlet's, unless it is another's, and its stamps go on above all that are known.
   * @param floor the greatest stamp that is known to have been acknowledged
   * @returns the stamp that all later ones are greater than
   * @throws ForeignQueueError
   */
  claim(floor: number): Promise<number>;
  /** Undefined where the queue has no marks of this Inlet's. */
  marks(): Promise<QueueMarks | undefined>;
  /** Raises a mark. @throws QueueUnavailableError where the queue isn't this Inlet's */
  mark(name: MarkName, stamp: number): Promise<void>;
  /** Whether the server has room for more batches. */
  hasRoom(): Promise<boolean>;
  /** Counts a lane's jobs; cheap, however many there are. */
  laneLoad(lane: Lane, queue: Queue): Promise<LaneLoad>;
  /** As in `QueueLoad`. */
  memory(): Promise<QueueLoad['memory']>;
  /** Calls back whenever a connection was made or is lost, if there is one that all calls go over. */
  onConnectionChange(listener: (isConnected: boolean) => void): void;
  /** As `BatchQueue.weaknesses`. */
  weaknesses(): Promise<readonly string[]>;
  close(): Promise<void>;
}
