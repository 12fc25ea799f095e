/** Lets only so many do something at one time; the others wait for their turn, in the order in which they came. */

interface WaitOptions {
  /** Longest wait, in milliseconds; without it there is none. */
  readonly ms?: number;
  /** Makes the error of who has waited that long. */
  readonly tooLate?: () => Error;
  /** Ends the wait with its reason. */
  readonly signal?: AbortSignal;
}

export class Turns {
  readonly #waiting = new Set<() => void>();
  #free: number;

  /** @param atOnce how many may have their turn at one time */
  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** Resolves when it is the caller's turn, which lasts until {@link leave}. @throws what `options` say */
  async enter(options: WaitOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait(options);
  }

  leave(): void {
    const [next] = this.#waiting;
    if (next) next();
    else this.#free += 1;
  }

  /** Runs something when it is its turn. @throws as {@link enter}, and what `run` throws */
  async take<T>(run: () => Promise<T>, options?: WaitOptions): Promise<T> {
    await this.enter(options);
    try {
      return await run();
    } finally {
      this.leave();
    }
  }

  #wait({ ms, tooLate, signal }: WaitOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiting.delete(next);
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
      };
      const next = (): void => {
        settle();
        resolve();
      };
      const onAbort = (): void => {
        settle();
        reject(signal?.reason as Error);
      };
      const timer =
        ms === undefined
          ? undefined
          : setTimeout(() => {
              settle();
              reject(tooLate?.() ?? new Error('waited too long'));
            }, ms);
      signal?.addEventListener('abort', onAbort);
      this.#waiting.add(next);
    });
  }
}
