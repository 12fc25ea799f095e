/**
 * How long a batch lingers for requests that are still to come. What a batch costs by itself (queue, disk, worker,
 * transaction) is dozens of times what a request costs, so under load it pays to let a few more come along.
 */

/** The next batch leaves no sooner than this after the one before, unless nobody else is to be expected. */
const LINGER_MS = 5;
/** How long a crowd is remembered: between one and three of these. */
const WINDOW_MS = 100;

export class Linger {
  #leftAt = Number.NEGATIVE_INFINITY;
  #windowFrom = Number.NEGATIVE_INFINITY;
  /** Most requests that were seen open at one time, in this window and in the one before. */
  #peak = 0;
  #peakBefore = 0;

  /**
   * Tells how many requests are open, in line or on their way.
   * @param now of a clock that only goes on, in milliseconds
   */
  saw(open: number, now: number): void {
    const age = now - this.#windowFrom;
    if (age > WINDOW_MS) {
      this.#peakBefore = age > 2 * WINDOW_MS ? 0 : this.#peak;
      this.#peak = 0;
      this.#windowFrom = now;
    }
    this.#peak = Math.max(this.#peak, open);
  }

  /**
   * Says how long to wait for further requests. As many open as lately at the most is taken to mean that all clients wait
   * for an answer, and none of them sends more before: a client alone, and any number that wait for one another,
   * lose nothing.
   * @returns milliseconds; 0 or less where there is nothing to wait for
   */
  waitMs(open: number, now: number): number {
    if (open >= Math.max(this.#peak, this.#peakBefore)) return 0;
    return this.#leftAt + LINGER_MS - now;
  }

  /** Tells that a batch leaves. */
  batchLeft(now: number): void {
    this.#leftAt = now;
  }
}
