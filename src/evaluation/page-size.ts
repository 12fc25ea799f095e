/**
 * How many objects are evaluated before what came of them is kept: a worker that is killed loses that work, and each
 * page costs a transaction. So it is what takes about a second, however fast the evaluator is.
 */

const FIRST_OBJECTS = 32;
const MOST_OBJECTS = 500;

/** A page that takes less time than that may be larger, and one that takes more smaller; in milliseconds. */
const SHORT_MS = 500;
const LONG_MS = 2_000;

/** About how much output a page may have, in characters. */
const LARGE_OUTPUT = 8 * 1024 * 1024;

export class PageSize {
  readonly #least: number;
  #objects: number;

  /** @param atOnce objects that are evaluated at one time: fewer in a page would slow the evaluator down */
  constructor(atOnce: number) {
    this.#least = Math.min(atOnce, MOST_OBJECTS);
    this.#objects = Math.max(FIRST_OBJECTS, this.#least);
  }

  /** For the next page. */
  get objects(): number {
    return this.#objects;
  }

  /** Learns from a page that is done. @param output characters of output */
  learn(ms: number, output: number): void {
    const half = Math.floor(this.#objects / 2);
    if (output > LARGE_OUTPUT) this.#objects = Math.max(1, half);
    else if (ms > LONG_MS) this.#objects = Math.max(this.#least, half);
    else if (ms < SHORT_MS && output < LARGE_OUTPUT / 4)
      this.#objects = Math.min(MOST_OBJECTS, this.#objects * 2);
  }
}
