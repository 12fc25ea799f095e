/** What the two backends have to bring; everything else about the queue is the same for both. */
import type { Queue, Worker, WorkerOptions } from 'bullmq';

/** How long a producer waits for the queue's server, in milliseconds, before it says that it is away. */
export const PRODUCER_TIMEOUT_MS = 4_000;

type JobProcessor = NonNullable<ConstructorParameters<typeof Worker>[1]>;

export interface Backend {
  /** Opens what a producer needs. */
  openProducer(): Producer;
  /** Makes a BullMQ worker; it starts on its own. */
  createWorker(processor: JobProcessor, options: Omit<WorkerOptions, 'connection'>): Worker;
}

export interface Producer {
  /** Whether a call has a chance now; where not, it should fail at once instead of being queued. */
  isConnected(): boolean;
  createQueue(): Queue;
  /** The server's clock, microseconds since 1970. */
  clock(): Promise<number>;
  /** Whether the server has room for more batches. */
  hasRoom(): Promise<boolean>;
  /** As `BatchQueue.weaknesses`. */
  weaknesses(): Promise<readonly string[]>;
  close(): Promise<void>;
}
