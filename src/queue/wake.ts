/**
 * Puts into a queue of tasks what there is to do, right after it was committed. Nobody waits for it, and nothing hangs on
 * it: what it doesn't get there a sweep finds.
 */
import type { TaskQueue } from './queue.ts';

export class Wake {
  readonly #tasks: Pick<TaskQueue, 'add'>;
  readonly #onError: (error: Error) => void;
  readonly #waiting = new Set<string>();
  #current: Promise<void> | undefined;
  #isClosed = false;

  /** @param onError told of a queue that can't be reached; by default nobody is, because its own connection tells */
  constructor(tasks: Pick<TaskQueue, 'add'>, onError: (error: Error) => void = () => undefined) {
    this.#tasks = tasks;
    this.#onError = onError;
  }

  /** Holds nobody up, and never throws. What comes while others are being added is added together, each once. */
  add(ids: readonly string[]): void {
    if (this.#isClosed || ids.length === 0) return;
    for (const id of ids) this.#waiting.add(id);
    this.#current ??= this.#addAll();
  }

  /** Takes nothing more; resolves when nothing is being added any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#current;
  }

  async #addAll(): Promise<void> {
    while (this.#waiting.size > 0) {
      const ids = [...this.#waiting];
      this.#waiting.clear();
      await this.#tasks.add(ids).catch(this.#onError);
    }
    this.#current = undefined;
  }
}
