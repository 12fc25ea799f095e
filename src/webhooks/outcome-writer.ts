/**
 * Keeps outcomes, those of all endpoints together: while one statement is in flight the next ones gather. They stand for
 * webhooks that were sent, so they are kept however long Postgres is away, as long as the process runs.
 */
import { isConnectionFault } from '../store/faults.ts';
import type { DeliveryOutcome } from '../store/webhook-outcomes.ts';
import type { ErrorReporter, Log } from '../telemetry.ts';
import { errorReporter } from '../telemetry.ts';
import { waitOut } from './wait-out.ts';

/** Most outcomes that one statement keeps. */
const MAX_OUTCOMES = 500;

/** One outcome, and what it tells of its endpoint beside that. */
export interface Outcome {
  readonly delivery: DeliveryOutcome;
  /** Whether it may change anything of the endpoint. */
  readonly changesEndpoint: boolean;
  /** Whether the endpoint wants nothing more. */
  readonly isGone: boolean;
  /** For how long the endpoint is to be left alone, in milliseconds; 0 where it has not asked for that. */
  readonly pauseMs: number;
}

interface Waiting {
  readonly outcome: Outcome;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class OutcomeWriter {
  readonly #keep: (outcomes: readonly Outcome[]) => Promise<void>;
  readonly #reportWait: ErrorReporter;
  readonly #stopping: AbortSignal;
  readonly #waiting: Waiting[] = [];
  #isWriting = false;

  /**
   * @param keep keeps outcomes, and changes nothing where it is called again with the same ones
   * @param stopping from then on Postgres is not waited for any more
   */
  constructor(keep: (outcomes: readonly Outcome[]) => Promise<void>, log: Log, stopping: AbortSignal) {
    this.#keep = keep;
    this.#reportWait = errorReporter(log, 'could not keep what became of webhooks yet');
    this.#stopping = stopping;
  }

  /**
   * Resolves when the outcome is committed.
   * @throws where it can't be: Postgres refuses it, or is away and the process stops
   */
  write(outcome: Outcome): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ outcome, resolve, reject });
      if (!this.#isWriting) void this.#writeAll();
    });
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) await this.#write(this.#waiting.splice(0, MAX_OUTCOMES));
    this.#isWriting = false;
  }

  async #write(group: readonly Waiting[]): Promise<void> {
    const outcomes = group.map(({ outcome }) => outcome);
    try {
      await waitOut(() => this.#keep(outcomes), this.#reportWait, this.#stopping);
      for (const { resolve } of group) resolve();
    } catch (error) {
      // One that can't be kept is not to have all others sent once more.
      if (group.length > 1 && !isConnectionFault(error)) {
        for (const waiting of group) await this.#write([waiting]);
      } else {
        for (const { reject } of group) reject(error);
      }
    }
  }
}
