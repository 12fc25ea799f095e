/**
 * How long a batch lingers for requests that are still to come. What a batch costs by itself (queue, disk, worker,
 * transaction) is dozens of times what a request costs, so under load it pays to let a few more come along.
 */

/** The next batch leaves no sooner than this after the one before, unless nobody else is to be expected. */
const LINGER_MS = 5;
/** How long a crowd is remembered, at least; at most twice as long. */
const WINDOW_MS = 100;

export class Linger {
  #leftAt = Number.NEGATIVE_INFINITY;
  #windowFrom = Number.NEGATIVE_INFINITY;
  /** Most requests that were open at one time, in this window and in the one before. */
  #peak = 0;
  #peakBefore = 0;

  /**
   * Says how long to wait for further requests. As many open as lately at the most means that all clients wait for an
   * answer, and none of them sends more before: a client alone, and any number that wait for one another, lose nothing.
   * @param open requests without an answer, those in line among them
   * @param now of a clock that only goes on, in milliseconds
   * @returns milliseconds; 0 or less where there is nothing to wait for
   */
  waitMs(open: number, now: number): number {
    if (now - this.#windowFrom > WINDOW_MS) {
      this.#peakBefore = now - this.#windowFrom > 2 * WINDOW_MS ? 0 : this.#peak;
      this.#peak = 0;
      this.#windowFrom = now;
    }
    this.#peak = Math.max(this.#peak, open);
    if (open >= Math.max(this.#peak, this.#peakBefore)) return 0;
    return this.#leftAt + LINGER_MS - now;
  }

  /** Has to be told when a batch leaves. */
  left(now: number): void {
    this.#leftAt = now;
  }
}
