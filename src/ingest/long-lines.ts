/**
 * The long lines of uploads. An upload holds a few megabytes as long as its lines are short; of long ones only a few are
 * held at one time by all uploads together, whatever their number. The others aren't read on meanwhile.
 */
import { MAX_CHUNK_BYTES } from '../domain/chunks.ts';
import { Turns } from '../domain/turns.ts';
import { ProblemError } from '../errors.ts';

/** So many of them. A line is as long as `INLET_BODY_LIMIT` at most. */
const AT_ONCE = 2;

/** How long an upload waits to read on, in milliseconds, before it fails. */
const PATIENCE_MS = 60_000;

/** Longest time for a long line to arrive, in milliseconds, as for a body: or slow senders would keep all others out. */
const MAX_LINE_MS = 120_000;

export class LongLines {
  readonly #turns = new Turns(AT_ONCE);

  /** Opens the account of one upload. */
  open(signal: AbortSignal): LongLine {
    return new LongLine(this.#turns, signal);
  }
}

/** Whether a line is a long one: others of up to this size, in bytes, are on their way into the queue anyway. */
export function isLong(bytes: number): boolean {
  return bytes > MAX_CHUNK_BYTES;
}

export class LongLine {
  readonly #turns: Turns;
  readonly #signal: AbortSignal;
  /** Since when there is one. */
  #since: number | undefined;

  constructor(turns: Turns, signal: AbortSignal) {
    this.#turns = turns;
    this.#signal = signal;
  }

  /**
   * Resolves as soon as more of a line may be read.
   * @param bytes what there is of it
   * @throws ProblemError 503 where other long lines are in the way for too long, 408 where this one takes too long; the
   *   reason of the signal
   */
  async hold(bytes: number): Promise<void> {
    if (!isLong(bytes)) return;
    if (this.#since === undefined) {
      await this.#turns.enter({ ms: PATIENCE_MS, tooLate: tooMany, signal: this.#signal });
      this.#since = performance.now();
    } else if (performance.now() - this.#since > MAX_LINE_MS) {
      throw new ProblemError(
        'request_timeout',
        `a line takes longer than ${MAX_LINE_MS / 1_000} seconds to arrive`,
      );
    }
  }

  /** It is in the queue, or refused. */
  release(): void {
    if (this.#since === undefined) return;
    this.#since = undefined;
    this.#turns.leave();
  }
}

function tooMany(): ProblemError {
  return new ProblemError(
    'unavailable',
    'too many files with lines of more than 1 MiB are being uploaded at the moment: send the file again later',
    { reason: 'too_many_uploads', headers: { 'retry-after': '5' } },
  );
}
