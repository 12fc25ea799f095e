/**
 * Batches share transactions: while as many run as may run, those that come wait in line, and then the head of the line
 * is stored in one. Nobody waits for a timer: a worker with little to do stores a batch at once, and a busy one
 * pays for the round trips and the commit of a transaction once for many.
 */
import type { Batch } from '../domain/batch.ts';
import { faultKind } from '../store/faults.ts';
import type { StoreOutcome } from './store-outcome.ts';

/** Most that a transaction stores of several batches, in characters of their objects: as much as one batch may hold. */
const MAX_SHARED_LENGTH = 1024 * 1024;

/** How batches are stored. They tell of progress, and throw what `faultKind` knows. */
export interface Stores {
  readonly alone: (batch: Batch, onProgress: () => void) => Promise<StoreOutcome>;
  /** All or none of several batches. */
  readonly together: (batches: readonly Batch[], onProgress: () => void) => Promise<readonly StoreOutcome[]>;
  /** Whether a batch may be one of several. */
  readonly canShare: (batch: Batch) => boolean;
}

interface Waiter {
  readonly batch: Batch;
  readonly onProgress: () => void;
  readonly resolve: (outcome: StoreOutcome) => void;
  readonly reject: (error: unknown) => void;
}

export class StoreLine {
  readonly #stores: Stores;
  readonly #concurrency: number;
  readonly #line: Waiter[] = [];
  #running = 0;
  #isScheduled = false;

  /** @param concurrency most transactions at one time */
  constructor(stores: Stores, concurrency: number) {
    this.#stores = stores;
    this.#concurrency = concurrency;
  }

  /**
   * Stores a batch, alone or with others that wait.
   * @throws as `Stores.alone`
   */
  store(batch: Batch, onProgress: () => void): Promise<StoreOutcome> {
    return new Promise((resolve, reject) => {
      this.#line.push({ batch, onProgress, resolve, reject });
      this.#schedule();
    });
  }

  /** Once for all batches that come in one turn of the event loop: they can share a transaction. */
  #schedule(): void {
    if (this.#isScheduled || this.#running >= this.#concurrency) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      while (this.#running < this.#concurrency && this.#line.length > 0) void this.#run(this.#take());
    });
  }

  /** The head of the line: one batch, or several that may be stored together. */
  #take(): Waiter[] {
    let length = 0;
    let count = 0;
    for (const { batch } of this.#line) {
      length += batch.objects.length;
      if (count > 0 && (length > MAX_SHARED_LENGTH || !this.#stores.canShare(batch))) break;
      count += 1;
      if (!this.#stores.canShare(batch)) break;
    }
    return this.#line.splice(0, count);
  }

  async #run(waiters: readonly Waiter[]): Promise<void> {
    this.#running += 1;
    const [first, ...others] = waiters;
    if (first && others.length === 0) await this.#storeAlone(first);
    else await this.#storeTogether(waiters);
    this.#running -= 1;
    this.#schedule();
  }

  async #storeAlone({ batch, onProgress, resolve, reject }: Waiter): Promise<void> {
    onProgress();
    await this.#stores.alone(batch, onProgress).then(resolve, reject);
  }

  async #storeTogether(waiters: readonly Waiter[]): Promise<void> {
    const onProgress = () => {
      for (const waiter of waiters) waiter.onProgress();
    };
    onProgress();
    try {
      const batches = waiters.map(({ batch }) => batch);
      const outcomes = await this.#stores.together(batches, onProgress);
      outcomes.forEach((outcome, i) => {
        waiters[i]?.resolve(outcome);
      });
    } catch (error) {
      if (faultKind(error) === 'infrastructure') for (const { reject } of waiters) reject(error);
      // It is about one of them, and that must not be the others' trouble.
      else for (const waiter of waiters) await this.#storeAlone(waiter);
    }
  }
}
