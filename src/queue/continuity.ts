/**
 * Whether the queue is still the one that writes were acknowledged into. A server may come back empty or with an older copy of
 * its data, and another may answer in its place: that is noticed before the next write hides it, because a queue's greatest
 * stamp is never below one that was acknowledged.
 */
import type { ReadStamp } from './backend.ts';
import type { MarkName, QueueContinuity, QueueMarks, StampRange } from './queue.ts';
import { ForeignQueueError, QueueUnavailableError } from './queue.ts';

/** What of a producer is needed. */
interface MarkedQueue {
  claim(floor: number): Promise<number>;
  marks(): Promise<QueueMarks | undefined>;
  mark(name: MarkName, stamp: number): Promise<void>;
}

/** How often a queue is looked at again that has changed while it was looked at. */
const MOST_LOOKS = 3;

/** How many acknowledged batches are remembered. */
const REMEMBERED = 10_000;

interface Acknowledged {
  readonly stamp: number;
  readonly requestIds: () => readonly string[];
}

export class Continuity implements QueueContinuity {
  readonly #queue: MarkedQueue;
  #floor = 0;
  /** Of what this process itself has had acknowledged: others may raise the last stamp over what they know nothing of. */
  #own = 0;
  #first: number | undefined;
  #mending: Promise<void> | undefined;
  #disowned: string | undefined;
  readonly #gaps: StampRange[] = [];
  /** A ring of the last ones. */
  readonly #acknowledged: Acknowledged[] = [];
  #next = 0;

  constructor(queue: MarkedQueue) {
    this.#queue = queue;
  }

  get acknowledged(): number {
    return this.#floor;
  }

  /** The greatest stamp with which this process has had something acknowledged; 0 where there is none. */
  get own(): number {
    return this.#own;
  }

  get disowned(): string | undefined {
    return this.#disowned;
  }

  get gaps(): readonly StampRange[] {
    return this.#gaps;
  }

  knows(stamp: number): void {
    this.#floor = Math.max(this.#floor, stamp);
  }

  /** Notes that a batch was acknowledged. @param requestIds asked for when somebody wants to know them */
  remember(stamp: number, requestIds: () => readonly string[]): void {
    this.knows(stamp);
    this.#own = Math.max(this.#own, stamp);
    this.#acknowledged[this.#next] = { stamp, requestIds };
    this.#next = (this.#next + 1) % REMEMBERED;
  }

  remembered({ from, to }: StampRange): readonly string[] {
    const batches = this.#acknowledged.filter(({ stamp }) => stamp > from && stamp <= to);
    batches.sort((a, b) => a.stamp - b.stamp);
    return [...new Set(batches.flatMap(({ requestIds }) => requestIds()))];
  }

  disown(reason: string | undefined): void {
    this.#disowned = reason;
  }

  /**
   * Reads a stamp that is greater than all that were acknowledged.
   * @throws ForeignQueueError, QueueUnavailableError
   */
  stamp(read: () => Promise<ReadStamp>): Promise<ReadStamp> {
    return this.#look(read);
  }

  marks(): Promise<QueueMarks> {
    return this.#look(() => this.#queue.marks());
  }

  mark(name: MarkName, stamp: number): Promise<void> {
    return this.#queue.mark(name, stamp);
  }

  async #look<Found extends Pick<ReadStamp, 'last' | 'own'>>(
    read: () => Promise<Found | undefined>,
  ): Promise<Found> {
    for (let looks = 0; looks < MOST_LOOKS; looks += 1) {
      if (this.#disowned !== undefined) throw new ForeignQueueError(this.#disowned);
      // What is acknowledged while the answer is on its way may be greater than it.
      const [floor, own] = [this.#floor, this.#own];
      const found = await read();
      if (found?.last !== undefined && found.last >= floor && found.own >= own) {
        this.#first ??= found.last;
        return found;
      }
      // All that this process has had acknowledged came after its first look.
      const has = found && found.own < own ? Math.max(found.own, this.#first ?? 0) : Infinity;
      this.#mending ??= this.#mend(found?.last && Math.min(found.last, has), floor).finally(() => {
        this.#mending = undefined;
      });
      await this.#mending;
    }
    throw new QueueUnavailableError('the queue is replaced again and again');
  }

  /**
   * @param has up to where the queue has everything; undefined: it has no marks
   * @param floor what it was found to lack
   */
  async #mend(has: number | undefined, floor: number): Promise<void> {
    const marks = await this.#queue.marks();
    // Whatever was acknowledged until now has a smaller stamp than those that come, whichever process has acknowledged it.
    const to = await this.#queue.claim(this.#floor);
    // That a queue is new is seen by when it was born.
    if (has !== undefined && marks && marks.born <= floor) this.#gaps.push({ from: has, to });
  }
}
