/** Asks once a second how much is in the queue, for backpressure and metrics. */
import type { BatchQueue, QueueLoad } from '../queue/queue.ts';

const INTERVAL_MS = 1_000;

export class LoadSampler {
  readonly #queue: Pick<BatchQueue, 'load'>;
  readonly #onSample: (load: QueueLoad) => void;
  #latest: QueueLoad | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** Begins at once. @param onSample called with each answer of the queue; must not throw */
  constructor(queue: Pick<BatchQueue, 'load'>, onSample: (load: QueueLoad) => void) {
    this.#queue = queue;
    this.#onSample = onSample;
    void this.#sample();
  }

  /** The last sample; undefined before the first one, and while the queue does not answer. */
  get latest(): QueueLoad | undefined {
    return this.#latest;
  }

  /** Asks no more, and takes no notice of an answer that is still to come. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  /** The next one comes after this one's answer, so there are never two at a time, however slow the queue is. */
  async #sample(): Promise<void> {
    // A queue that is away is reported by those who wanted something of it; here it is asked again.
    const load = await this.#queue.load().catch(() => undefined);
    if (this.#isClosed) return;
    this.#latest = load;
    if (load) this.#onSample(load);
    this.#timer = setTimeout(() => void this.#sample(), INTERVAL_MS);
    this.#timer.unref();
  }
}
