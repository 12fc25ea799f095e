/** What the two backends have to bring; everything else about the queue is the same for both. */
import type { JobType, Queue, Telemetry, Worker, WorkerOptions } from 'bullmq';
import type { Stamp } from '../domain/batch.ts';
import type { Lane } from './lane.ts';
import type { QueueLoad } from './queue.ts';

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
  createWorker(lane: Lane, processor: JobProcessor, options: Omit<WorkerOptions, 'connection'>): Worker;
}

/** What waits in a lane, or is being worked on. */
export interface LaneLoad {
  readonly count: number;
  /** Ids of jobs, of which one is that of the oldest; empty where there are none. */
  readonly oldest: readonly string[];
}

export interface Producer {
  /** Whether a call has a chance now; where not, it should fail at once instead of being queued. */
  isConnected(): boolean;
  createQueue(lane: Lane): Queue;
  /** Resolves when the server answers. */
  ping(): Promise<unknown>;
  /** Reads a stamp. It counts once {@link addStamped} has added something with it. */
  readStamp(): Promise<Stamp>;
  /**
   * Adds something that has a stamp: from then on greater ones are read, and it is never on disk without that.
   * @throws QueueUnavailableError where that isn't certain: what was to be added may or may not have been taken
   */
  addStamped(stamp: number, add: () => Promise<unknown>): Promise<void>;
  /** Whether the server has room for more batches. */
  hasRoom(): Promise<boolean>;
  /** Writes a little, as durably as batches are written. */
  tryWrite(): Promise<unknown>;
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
