/** Puts batches that wait into the queue right after they are stored; what doesn't get there, the sweep finds. */
import type { BatchId } from '../domain/request-id.ts';
import type { TaskQueue } from '../queue/queue.ts';

export class Wake {
  readonly #tasks: Pick<TaskQueue, 'add'>;
  #waiting: BatchId[] = [];
  #isAdding = false;

  constructor(tasks: Pick<TaskQueue, 'add'>) {
    this.#tasks = tasks;
  }

  /** Holds nobody up, and never throws. What comes while others are being added is added together. */
  add(batchId: BatchId): void {
    this.#waiting.push(batchId);
    if (!this.#isAdding) void this.#send();
  }

  async #send(): Promise<void> {
    this.#isAdding = true;
    while (this.#waiting.length > 0) {
      const ids = this.#waiting;
      this.#waiting = [];
      // A queue that is away is reported by its own connection.
      await this.#tasks.add(ids).catch(() => undefined);
    }
    this.#isAdding = false;
  }
}
