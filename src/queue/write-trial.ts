/**
 * Whether the queue takes writes. A server that answers may still take none: a Redis that is a replica or can't write its file,
 * a Postgres that is read-only, whose disk is full, or whose standby doesn't confirm. What became of the last batches tells;
 * where there were none a job that means nothing is added, which needs all that a batch does but room.
 */
import { sqlState } from '../store/faults.ts';
import { QueueUnavailableError } from './queue.ts';

/** How long a batch that was refused counts where none was taken since, in milliseconds: nobody may write any more. */
const REFUSAL_COUNTS_MS = 5_000;

/** What Redis says when it is full. That will pass, and is told in another way. */
const FULL = 'OOM';

/** How long one that was taken counts, in milliseconds. */
const SUCCESS_COUNTS_MS = 1_000;

export class WriteTrial {
  readonly #tryWrite: () => Promise<unknown>;
  #refused: { readonly at: number; readonly why: string } | undefined;
  #takenAt = Number.NEGATIVE_INFINITY;
  #trial: Promise<string | undefined> | undefined;

  /** @param tryWrite adds such a job */
  constructor(tryWrite: () => Promise<unknown>) {
    this.#tryWrite = tryWrite;
  }

  /** Adds a batch, and remembers whether it was taken. @throws what `add` throws */
  async watch<T>(add: () => Promise<T>): Promise<T> {
    try {
      const added = await add();
      this.#refused = undefined;
      this.#takenAt = performance.now();
      return added;
    } catch (error) {
      const why = inWords(error);
      if (why !== FULL) this.#refused = { at: performance.now(), why };
      throw error;
    }
  }

  /** Why no writes are taken; undefined where they are. Never throws. Those who ask at one time share one trial. */
  async refusal(): Promise<string | undefined> {
    const now = performance.now();
    if (this.#refused && now - this.#refused.at < REFUSAL_COUNTS_MS) return this.#refused.why;
    if (now - this.#takenAt < SUCCESS_COUNTS_MS) return undefined;
    this.#trial ??= this.#tryWrite()
      .then(() => undefined, inWords)
      .then((why) => (why === FULL ? undefined : why))
      .finally(() => {
        this.#trial = undefined;
      });
    return this.#trial;
  }
}

/** Its code alone: messages of servers may quote what was to be written. */
function inWords(error: unknown): string {
  if (error instanceof QueueUnavailableError) return error.cause ? inWords(error.cause) : error.message;
  return sqlState(error) ?? replyCode(error) ?? 'no answer';
}

/** The code of an error that Redis answers, also where a script has met with it. */
function replyCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined;
  return /-([A-Z]{3,}) /.exec(error.message)?.[1] ?? error.message.split(' ')[0];
}
