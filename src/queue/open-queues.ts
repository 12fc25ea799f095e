/** BullMQ queues for the producer's side: opened when they are needed, and again where that has failed. */
import type { Queue } from 'bullmq';
import type { Producer } from './backend.ts';
import type { OnQueueError } from './bullmq-consumer.ts';
import type { Line } from './lane.ts';
import { QueueUnavailableError } from './queue.ts';

export class OpenQueues {
  readonly #producer: Producer;
  readonly #createQueue: Producer['createQueue'];
  readonly #onError: OnQueueError;
  readonly #queues = new Map<Line, Queue>();

  constructor(producer: Producer, createQueue: Producer['createQueue'], onError: OnQueueError) {
    this.#producer = producer;
    this.#createQueue = createQueue;
    this.#onError = onError;
  }

  /** @throws QueueUnavailableError, whatever went wrong */
  async call<T>(lane: Line, use: (queue: Queue) => Promise<T>): Promise<T> {
    if (!this.#producer.isConnected()) throw new QueueUnavailableError('no connection to the queue');
    try {
      return await use(await this.#open(lane));
    } catch (cause) {
      if (cause instanceof QueueUnavailableError) throw cause;
      throw new QueueUnavailableError((cause as Error).message, { cause });
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()));
  }

  /** A BullMQ queue whose first connection fails stays broken for good, so a new one is made then. */
  async #open(lane: Line): Promise<Queue> {
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

  #create(lane: Line): Queue {
    const queue = this.#createQueue(lane);
    queue.on('error', this.#onError);
    this.#queues.set(lane, queue);
    return queue;
  }
}
