/** Moves what a version without ids has left, or still adds while it is replaced, into the queue of this one. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Backend } from './backend.ts';
import type { OnQueueError, RunJob } from './bullmq-consumer.ts';
import { BullmqConsumer } from './bullmq-consumer.ts';
import type { Lane } from './lane.ts';
import { LANES } from './lane.ts';
import type { BatchConsumer } from './queue.ts';

/** Batches that are moved at one time. */
const CONCURRENCY = 16;

/** How often a queue's server that is away is asked whether there is such a queue, in milliseconds. */
const ASK_AGAIN_MS = 500;

interface EarlierOptions {
  /** Undefined: the backend never had such a queue. */
  readonly createWorker: Backend['createWorker'] | undefined;
  /** Whether there is one. Where this rejects it is asked again. */
  readonly isWanted: () => Promise<boolean>;
  /** How a job is moved. */
  readonly run: (lane: Lane) => RunJob;
  readonly onError: OnQueueError;
}

export class EarlierConsumer implements BatchConsumer {
  readonly #consumers: Promise<readonly BatchConsumer[]>;
  #isClosed = false;

  constructor({ createWorker, isWanted, run, onError }: EarlierOptions) {
    this.#consumers = this.#answer(isWanted).then((wanted) => {
      if (!createWorker || !wanted) return [];
      const backend = { createWorker };
      return LANES.map(
        (lane) => new BullmqConsumer({ backend, lane, run: run(lane), concurrency: CONCURRENCY, onError }),
      );
    });
  }

  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    await Promise.all((await this.#consumers).map((consumer) => consumer.close(graceMs)));
  }

  /** It is there from the beginning, or never comes to be: one answer is enough. */
  async #answer(isWanted: () => Promise<boolean>): Promise<boolean> {
    while (!this.#isClosed) {
      const wanted = await isWanted().catch(() => undefined);
      if (wanted !== undefined) return wanted && !this.#isClosed;
      await delay(ASK_AGAIN_MS, undefined, { ref: false });
    }
    return false;
  }
}
