/** Notices that the clock of the queue's server steps. Nothing is lost by that; times that people read are wrong. */
import type { Stamp } from '../domain/batch.ts';

const BEHIND_MS = 1_000;
const JUMP_MS = 60_000;

/** The clock of the queue's server has stepped. */
export class QueueClockError extends Error {
  override readonly name = 'QueueClockError';
}

export class ClockWatch {
  readonly #report: (error: QueueClockError) => void;
  readonly #now: () => number;
  #last: { readonly clockMs: number; readonly at: number } | undefined;
  #behindMs = 0;

  /**
   * @param report told of each stamp whose clock is wrong
   * @param now milliseconds of a clock that never steps
   */
  constructor(report: (error: QueueClockError) => void, now: () => number = () => performance.now()) {
    this.#report = report;
    this.#now = now;
  }

  /** How far the clock was behind the stamps when the last one was taken, in milliseconds. */
  get behindMs(): number {
    return this.#behindMs;
  }

  saw({ stamp, acceptedAt }: Stamp): void {
    const clockMs = acceptedAt / 1_000;
    const at = this.#now();
    const jumpMs = this.#last ? clockMs - this.#last.clockMs - (at - this.#last.at) : 0;
    this.#last = { clockMs, at };
    this.#behindMs = (stamp - acceptedAt) / 1_000;
    if (jumpMs > JUMP_MS) {
      this.#report(
        new QueueClockError(`the clock of the queue's server jumped forward by ${seconds(jumpMs)}`),
      );
    } else if (this.#behindMs >= BEHIND_MS) {
      const behind = `is ${seconds(this.#behindMs)} behind the last write`;
      this.#report(
        new QueueClockError(`the clock of the queue's server ${behind}: the order of writes holds`),
      );
    }
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`;
}
