/**
 * Batches share transactions: while as many run as may run, those that come wait in line, and then the head of the line
 * is stored in one. A worker with little to do stores a batch at once; a busy one begins a transaction every few
 * milliseconds, and pays for its round trips and its commit once for many.
 */
import type { Batch } from '../domain/batch.ts';
import { isConnectionFault } from '../store/faults.ts';
import type { StoreOutcome } from './store-outcome.ts';

/** Most that a transaction stores of several batches, in characters of their objects: as much as one batch may hold. */
const MAX_SHARED_LENGTH = 1024 * 1024;

/**
 * A transaction begins no sooner than this after the one before, unless nothing can join it. No client's answer waits for it,
 * and a transaction costs as much as dozens of objects.
 */
const LINGER_MS = 8;

/** How batches are stored. They tell of progress, and throw as `storeBatch` and `storeTogether`. */
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
  /** In characters of its objects. */
  readonly length: number;
  readonly shares: boolean;
  /** It may be about to fail again, and slowly. */
  readonly isSuspect: boolean;
}

export class StoreLine {
  readonly #stores: Stores;
  readonly #concurrency: number;
  readonly #mostBatches: number;
  /** Suspects never hold all transactions, unless there is only one. */
  readonly #mostSuspects: number;
  readonly #line: Waiter[] = [];
  #running = 0;
  #suspectsRunning = 0;
  #batchesRunning = 0;
  #isScheduled = false;
  #begunAt = Number.NEGATIVE_INFINITY;
  #lingering: NodeJS.Timeout | undefined;

  /**
   * @param concurrency most transactions at one time
   * @param mostBatches most batches that are handed in at one time
   */
  constructor(stores: Stores, concurrency: number, mostBatches: number) {
    this.#stores = stores;
    this.#concurrency = concurrency;
    this.#mostBatches = mostBatches;
    this.#mostSuspects = Math.ceil(concurrency / 2);
  }

  /**
   * Stores a batch, alone or with others that wait.
   * @param onProgress also told of what is done of others before its turn comes: that is what it waits for
   * @throws as `Stores.alone`
   */
  store(batch: Batch, onProgress: () => void): Promise<StoreOutcome> {
    return new Promise((resolve, reject) => {
      // Looked at here, where a batch that isn't what it should be fails by itself.
      const { length } = batch.objects;
      const shares = this.#stores.canShare(batch);
      const isSuspect = batch.isRetried === true;
      this.#line.push({ batch, onProgress, resolve, reject, length, shares, isSuspect });
      this.#schedule();
    });
  }

  /** Once for all batches that come in one turn of the event loop: they can share a transaction. */
  #schedule(): void {
    if (this.#isScheduled || this.#running >= this.#concurrency || this.#line.length === 0) return;
    const wait = this.#isFull() ? 0 : this.#begunAt + LINGER_MS - performance.now();
    if (wait > 0) {
      this.#lingering ??= setTimeout(() => this.#begin(), wait);
      return;
    }
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#begin();
    });
  }

  #begin(): void {
    clearTimeout(this.#lingering);
    this.#lingering = undefined;
    if (this.#running >= this.#concurrency || this.#line.length === 0) return;
    const waiters = this.#take();
    // Suspects alone, of which enough are being stored: it goes on when one of them is done.
    if (waiters.length === 0) return;
    this.#begunAt = performance.now();
    void this.#run(waiters);
    this.#schedule();
  }

  /** Whether nothing can join the next transaction: it is as large as may be, must be alone, or no more batches come. */
  #isFull(): boolean {
    if (this.#line.length + this.#batchesRunning >= this.#mostBatches) return true;
    let total = 0;
    for (const { length, shares } of this.#line) {
      total += length;
      if (!shares || total > MAX_SHARED_LENGTH) return true;
    }
    return false;
  }

  /** The head of the line: one batch, or several that may be stored together. Suspects are passed over where enough run. */
  #take(): Waiter[] {
    const passesOver = this.#suspectsRunning >= this.#mostSuspects;
    let total = 0;
    const taken = new Set<Waiter>();
    for (const waiter of this.#line) {
      if (waiter.isSuspect && passesOver) continue;
      total += waiter.length;
      if (taken.size > 0 && (total > MAX_SHARED_LENGTH || !waiter.shares)) break;
      taken.add(waiter);
      if (!waiter.shares) break;
    }
    if (taken.size > 0)
      this.#line.splice(0, this.#line.length, ...this.#line.filter((waiter) => !taken.has(waiter)));
    return [...taken];
  }

  async #run(waiters: readonly Waiter[]): Promise<void> {
    const suspects = waiters.some(({ isSuspect }) => isSuspect) ? 1 : 0;
    this.#running += 1;
    this.#suspectsRunning += suspects;
    this.#batchesRunning += waiters.length;
    const onProgress = () => {
      for (const waiter of [...waiters, ...this.#line]) waiter.onProgress();
    };
    try {
      onProgress();
      const outcomes = await this.#store(waiters, onProgress);
      outcomes.forEach((outcome, i) => {
        waiters[i]?.resolve(outcome);
      });
    } catch (error) {
      // What is about one of them must not be the others' trouble.
      if (waiters.length > 1 && !isConnectionFault(error)) this.#separate(waiters);
      else for (const { reject } of waiters) reject(error);
    } finally {
      this.#running -= 1;
      this.#suspectsRunning -= suspects;
      this.#batchesRunning -= waiters.length;
      this.#schedule();
    }
  }

  async #store(waiters: readonly Waiter[], onProgress: () => void): Promise<readonly StoreOutcome[]> {
    const [first, ...others] = waiters.map(({ batch }) => batch);
    if (!first) return [];
    if (others.length === 0) return [await this.#stores.alone(first, onProgress)];
    return this.#stores.together([first, ...others], onProgress);
  }

  /** Back to the head of the line, to be stored each on its own. */
  #separate(waiters: readonly Waiter[]): void {
    this.#line.unshift(...waiters.map((waiter) => ({ ...waiter, shares: false, isSuspect: true })));
  }
}
