/** The deliveries that a task has in hand: being sent, or sent and their outcome not kept yet. */
export class InHand {
  readonly #most: number;
  readonly #mostSending: number;
  readonly #ids = new Set<string>();
  #sending = 0;
  #failure: { readonly error: unknown } | undefined;
  #onChange: () => void = () => undefined;

  /**
   * @param mostSending how many may be sent at one time
   * @param most how many may be in hand at one time
   */
  constructor(mostSending: number, most: number) {
    this.#mostSending = mostSending;
    this.#most = most;
  }

  /** Of all of them. */
  get ids(): readonly string[] {
    return [...this.#ids];
  }

  get isEmpty(): boolean {
    return this.#ids.size === 0;
  }

  /** Whether one more may be started. */
  get hasRoom(): boolean {
    return this.#sending < this.#mostSending && this.#ids.size < this.#most;
  }

  /** Whether one could neither be sent nor kept; {@link throwFailure} tells why. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Takes one in hand: sends it, and keeps what came of it where anything did. */
  start<T>(id: string, send: () => Promise<T | undefined>, keep: (outcome: T) => Promise<void>): void {
    this.#ids.add(id);
    this.#sending += 1;
    const sent = send().finally(() => {
      this.#sending -= 1;
      this.#onChange();
    });
    sent
      .then((outcome) => (outcome === undefined ? undefined : keep(outcome)))
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#ids.delete(id);
        this.#onChange();
      });
  }

  /** Waits until something has changed, but not longer than `ms` milliseconds or until `signal` is aborted. */
  async change(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#onChange = () => undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
      this.#onChange = done;
    });
  }

  /** Waits until there is none any more. */
  async settled(): Promise<void> {
    while (!this.isEmpty) {
      await new Promise<void>((resolve) => {
        this.#onChange = resolve;
      });
    }
  }

  /** @throws the first error of those that could not be sent or kept */
  throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}
