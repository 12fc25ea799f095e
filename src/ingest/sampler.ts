/** Asks for something again and again, for who wants to know it at once and can do with what it was a moment ago. */
export class Sampler<T> {
  readonly #ask: () => Promise<T>;
  readonly #intervalMs: number;
  readonly #onSample: (sample: T) => void;
  #latest: T | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /**
   * Begins at once.
   * @param intervalMs from an answer to the next question, in milliseconds: there are never two at a time, however slow
   *   it is
   * @param onSample called with each answer; must not throw
   */
  constructor(ask: () => Promise<T>, intervalMs: number, onSample: (sample: T) => void = () => undefined) {
    this.#ask = ask;
    this.#intervalMs = intervalMs;
    this.#onSample = onSample;
    void this.#sample();
  }

  /** The last answer; undefined before the first one, and while there is none. */
  get latest(): T | undefined {
    return this.#latest;
  }

  /** Asks no more, and takes no notice of an answer that is still to come. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #sample(): Promise<void> {
    // What is away is reported by those who wanted something of it; here it is asked again.
    const sample = await this.#ask().catch(() => undefined);
    if (this.#isClosed) return;
    this.#latest = sample;
    if (sample !== undefined) this.#onSample(sample);
    this.#timer = setTimeout(() => void this.#sample(), this.#intervalMs);
    this.#timer.unref();
  }
}
