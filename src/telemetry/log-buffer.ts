/**
 * Gathers lines of the log, so that a busy server writes many with one call: to a stream that is written to line by
 * line, each costs more than everything else about it.
 */

/** Where the lines go; pino's destination. */
export interface LogDestination {
  write(text: string): unknown;
  /** Writes what it holds before it returns. */
  flushSync(): void;
}

/** Written at once when so much has gathered, in characters: about what a pipe holds. */
const FULL = 64_000;

/** How long a line may wait for others, in milliseconds. */
const FLUSH_MS = 100;

/** What pino writes to. */
export class LogBuffer implements LogDestination {
  readonly #destination: LogDestination;
  #lines = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(destination: LogDestination) {
    this.#destination = destination;
  }

  write(line: string): void {
    this.#lines += line;
    if (this.#lines.length >= FULL) this.#pass();
    else if (!this.#timer) this.#timer = setTimeout(() => this.#pass(), FLUSH_MS).unref();
  }

  flushSync(): void {
    this.#pass();
    this.#destination.flushSync();
  }

  #pass(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const lines = this.#lines;
    this.#lines = '';
    if (lines !== '') this.#destination.write(lines);
  }
}
