/**
 * Writes the log in the background, many lines with one call: for a line at a time that costs more than everything else
 * about it. A reader who doesn't keep up holds up nobody, and what is left at the end of the process is written then.
 * (pino's own destination for that loses lines at the end: it hands them to a thread that isn't waited for.)
 */
import { write, writeSync } from 'node:fs';

/** Written at once when so much has gathered, in characters: about what a pipe holds. */
const FULL = 64_000;

/** How long a line may wait for others, in milliseconds. */
const FLUSH_MS = 100;

/** When what a full pipe has refused is written again, in milliseconds. */
const RETRY_MS = 10;

/** Most that waits for a reader who has fallen behind, in characters. What comes beyond that is dropped. */
const MAX_WAITING = 16 * 1024 * 1024;

/** How long a write that has begun, and one that is refused, are waited for at the end, in milliseconds. */
const LAST_WRITE_MS = 50;
const LAST_RETRIES_MS = 1_000;

/** What pino writes to. */
export class LogWriter {
  readonly #fd: number;
  readonly #onDropped: (lines: number) => void;
  #lines = '';
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;
  /** What a thread is writing. */
  #inFlight = false;
  /** What was refused, or not taken whole, and comes before everything else. */
  #rest: Buffer | undefined;

  /** @param onDropped told, when there is room again, how many lines there was none for */
  constructor(fd: number, onDropped: (lines: number) => void = () => undefined) {
    this.#fd = fd;
    this.#onDropped = onDropped;
  }

  write(line: string): void {
    if (this.#lines.length + line.length > MAX_WAITING) {
      this.#dropped += 1;
      return;
    }
    this.#lines += line;
    if (this.#lines.length >= FULL) this.#send();
    else this.#schedule(FLUSH_MS);
  }

  /** Writes all that is left before it returns, as far as anybody reads it. */
  flushSync(): void {
    // It can't be asked for without a turn of the event loop, but a thread that has begun finishes.
    if (this.#inFlight) sleep(LAST_WRITE_MS);
    let left = this.#take();
    for (const end = performance.now() + LAST_RETRIES_MS; left.length > 0 && performance.now() < end; ) {
      try {
        left = left.subarray(writeSync(this.#fd, left));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
        sleep(RETRY_MS);
      }
    }
  }

  #schedule(ms: number): void {
    this.#timer ??= setTimeout(() => this.#send(), ms).unref();
  }

  #take(): Buffer {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const lines = Buffer.from(this.#lines);
    const taken = this.#rest ? Buffer.concat([this.#rest, lines]) : lines;
    this.#rest = undefined;
    this.#lines = '';
    return taken;
  }

  #send(): void {
    if (this.#inFlight) return;
    const bytes = this.#take();
    if (bytes.length === 0) return;
    this.#inFlight = true;
    write(this.#fd, bytes, (error, written) => {
      this.#inFlight = false;
      const isRefused = error?.code === 'EAGAIN';
      // Whatever else goes wrong (nobody reads any more, the disk is full) must not end the server: the lines are lost.
      if (isRefused) this.#rest = bytes;
      else if (!error && written < bytes.length) this.#rest = bytes.subarray(written);
      if (isRefused) this.#schedule(RETRY_MS);
      else if (this.#rest || this.#lines.length >= FULL) this.#send();
      else if (this.#lines !== '') this.#schedule(FLUSH_MS);
      if (!isRefused) this.#reportDropped();
    });
  }

  #reportDropped(): void {
    const lines = this.#dropped;
    this.#dropped = 0;
    if (lines > 0) this.#onDropped(lines);
  }
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
