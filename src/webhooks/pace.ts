/** Spreads what is sent over time, so that there is never more of it in a second than there may be. */
export class Pace {
  #next = Number.NEGATIVE_INFINITY;

  /** How long to wait for the next turn, in milliseconds. */
  waitMs(now: number = performance.now()): number {
    return Math.max(0, this.#next - now);
  }

  /**
   * Takes the turn that has been waited for.
   * @param rate how many there may be in a second; undefined: any number
   */
  take(rate: number | undefined, now: number = performance.now()): void {
    // Counted from the time that the turn was for: timers are late, and would make it slower than it has to be. What was
    // missed for longer isn't made up for.
    const turn = now - this.#next > LATE_MS ? now : this.#next;
    this.#next = rate === undefined ? now : turn + 1_000 / rate;
  }
}

/** How late a timer may be, in milliseconds. */
const LATE_MS = 20;
