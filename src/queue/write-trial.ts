/**
 * Whether the queue takes writes. A server that answers may still take none: a Redis that is a replica or can't write its file,
 * a Postgres that is read-only, whose disk is full, or whose standby doesn't confirm. So a small write is tried; and what has
 * become of batches counts before that, because they need more room.
 */
import { sqlState } from '../store/faults.ts';
import { QueueUnavailableError } from './queue.ts';

/** How long a batch that was refused counts where none was taken since, in milliseconds: nobody may write any more. */
const REFUSAL_COUNTS_MS = 5_000;

export class WriteTrial {
  readonly #tryWrite: () => Promise<unknown>;
  #refused: { readonly at: number; readonly why: string } | undefined;
  #trial: Promise<string | undefined> | undefined;

  /** @param tryWrite writes a little, the way that batches are written */
  constructor(tryWrite: () => Promise<unknown>) {
    this.#tryWrite = tryWrite;
  }

  /** Adds a batch, and remembers whether it was taken. @throws what `add` throws */
  async watch<T>(add: () => Promise<T>): Promise<T> {
    try {
      const added = await add();
      this.#refused = undefined;
      return added;
    } catch (error) {
      this.#refused = { at: performance.now(), why: inWords(error) };
      throw error;
    }
  }

  /** Why no writes are taken; undefined where they are. Never throws. Those who ask at one time share one trial. */
  async refusal(): Promise<string | undefined> {
    if (this.#refused && performance.now() - this.#refused.at < REFUSAL_COUNTS_MS) return this.#refused.why;
    this.#trial ??= this.#tryWrite()
      .then(() => undefined, inWords)
      .finally(() => {
        this.#trial = undefined;
      });
    return this.#trial;
  }
}

/** Its code alone: messages of servers may quote what was to be written. */
function inWords(error: unknown): string {
  if (error instanceof QueueUnavailableError) return error.message;
  const [redisCode] = error instanceof Error && error.name === 'ReplyError' ? error.message.split(' ') : [];
  return sqlState(error) ?? redisCode ?? 'no answer';
}
