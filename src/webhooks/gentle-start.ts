/**
 * Begins one thing in each turn of the event loop. Hundreds of webhooks that are begun together are answered together
 * too, and each step of storing a batch would wait for all of them: a turn took 80 ms then.
 */
export class GentleStart {
  readonly #waiting: (() => void)[] = [];

  /** Resolves when it is the caller's turn. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (this.#waiting.length === 1) setImmediate(this.#next);
    });
  }

  readonly #next = (): void => {
    this.#waiting.shift()?.();
    if (this.#waiting.length > 0) setImmediate(this.#next);
  };
}
