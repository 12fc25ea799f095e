/**
 * Keeps an eye on what makes the queue less durable than an acknowledgement promises. A server can change while
 * Inlet runs: it is restarted with other settings, another one takes its place, or somebody sets it up anew. So it
 * is looked at after each reconnect, and every few seconds.
 */
import type { DurabilityOptions } from './queue.ts';
import { QueueNotDurableError, QueueUnavailableError } from './queue.ts';

/** From one look to the next, in milliseconds: while nothing is wrong, and while something is or isn't known. */
const INTERVAL_MS = 5_000;
const IMPATIENT_INTERVAL_MS = 1_000;

export class DurabilityWatch {
  readonly #look: () => Promise<readonly string[]>;
  readonly #options: DurabilityOptions;
  /** Counts connections as they come and go. */
  #connection = 0;
  /** What was found over the present connection. */
  #found: readonly string[] | undefined;
  #reported: readonly string[];
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(look: () => Promise<readonly string[]>, options: DurabilityOptions) {
    this.#look = look;
    this.#options = options;
    this.#reported = options.known ?? [];
  }

  /** To be called when a connection was made or is lost: what was known before says nothing of the next server. */
  connectionChanged(isConnected: boolean): void {
    this.#connection += 1;
    this.#found = undefined;
    if (isConnected) void this.check();
  }

  /** Looks now, and again and again from then on. */
  async check(): Promise<void> {
    clearTimeout(this.#timer);
    const connection = this.#connection;
    // Where it can't be told, the next look comes soon, and nothing is taken until then where it is required.
    const found = await this.#look().catch(() => undefined);
    // Another look is under way where the connection is another one.
    if (this.#isClosed || connection !== this.#connection) return;
    this.#found = found;
    if (found && found.join() !== this.#reported.join()) {
      this.#reported = found;
      this.#options.onChange(found);
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => void this.check(),
      found?.length === 0 ? INTERVAL_MS : IMPATIENT_INTERVAL_MS,
    );
    this.#timer.unref();
  }

  /**
   * Adds a batch; where durability is required, only over a connection that was found durable.
   * @throws QueueNotDurableError, QueueUnavailableError
   */
  async guard<T>(add: () => Promise<T>): Promise<T> {
    if (!this.#options.required) return add();
    const connection = this.#connection;
    if (!this.#found) throw new QueueUnavailableError('how durable the queue is has not been looked at yet');
    if (this.#found.length > 0) throw new QueueNotDurableError(this.#found.join('. '));
    const added = await add();
    // Then it may be on a server that nobody has looked at: it must not be acknowledged.
    if (connection !== this.#connection) {
      throw new QueueUnavailableError('the connection was lost while a batch was being added');
    }
    return added;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}
