/**
 * Backpressure: says from samples of the queue's load whether writes are to be refused, and for how long. Pure;
 * the samples come from `load-sampler.ts`, and what follows from them is up to `write-gate.ts`.
 *
 * Writes are refused from a high mark on until a low one is reached, so that service doesn't flap between them.
 */
import { total } from '../queue/lane.ts';
import type { QueueLoad } from '../queue/queue.ts';

/**
 * Redis's memory has two such marks as well, as shares of what batches may take up of it. The rest, up to where
 * the queue itself refuses every batch, is there for deletes and for what comes in between two samples.
 */
const MEMORY_HIGH_SHARE = 0.9;
const MEMORY_LOW_SHARE = 0.75;

/** How far back samples are looked at for how fast the queue drains, in milliseconds. */
const WINDOW_MS = 10_000;
/** The least that says something about it, in milliseconds. */
const SHORTEST_WINDOW_MS = 900;

/** Bounds of what clients are told, in seconds; the longest also where the queue does not drain. */
const SHORTEST_WAIT_S = 1;
const LONGEST_WAIT_S = 60;
/** While nothing is known yet about how fast it drains, in seconds. */
const UNKNOWN_WAIT_S = 5;

/** The marks of the queue's depth, in batches. */
export interface DepthMarks {
  readonly high: number;
  readonly low: number;
}

/** A value with two marks. */
interface Level {
  readonly value: number;
  readonly high: number;
  readonly low: number;
}

interface Sample {
  /** Milliseconds on the clock. */
  readonly at: number;
  readonly depth: Level;
  readonly memory: Level | undefined;
}

export class Backpressure {
  readonly #marks: DepthMarks;
  readonly #clock: () => number;
  #depthIsOver = false;
  #memoryIsOver = false;
  /** Since writes are refused: before that the queue was filled and drained at the same time. */
  #samples: readonly Sample[] = [];

  /** @param clock milliseconds that only ever rise */
  constructor(marks: DepthMarks, clock: () => number = () => performance.now()) {
    this.#marks = marks;
    this.#clock = clock;
  }

  /** Takes in a sample of the load. */
  update(load: QueueLoad): void {
    const sample = this.#sample(load);
    this.#depthIsOver = isOver(this.#depthIsOver, sample.depth);
    this.#memoryIsOver = sample.memory !== undefined && isOver(this.#memoryIsOver, sample.memory);
    this.#samples = this.refuses
      ? [...this.#samples.filter(({ at }) => sample.at - at <= WINDOW_MS), sample]
      : [];
  }

  /** Whether writes are to be refused. */
  get refuses(): boolean {
    return this.#depthIsOver || this.#memoryIsOver;
  }

  /** When writes will be taken again, in whole seconds from now, at the rate at which the queue drains. */
  get retryAfterSeconds(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.at - first.at < SHORTEST_WINDOW_MS) return UNKNOWN_WAIT_S;
    const elapsed = (last.at - first.at) / 1_000;
    const wait = Math.max(
      this.#depthIsOver ? secondsUntilLow(first.depth, last.depth, elapsed) : 0,
      this.#memoryIsOver ? secondsUntilLow(first.memory, last.memory, elapsed) : 0,
    );
    return Math.min(Math.max(Math.ceil(wait), SHORTEST_WAIT_S), LONGEST_WAIT_S);
  }

  #sample({ depth, memory }: QueueLoad): Sample {
    const batches = total(depth);
    return {
      at: this.#clock(),
      depth: { value: batches, ...this.#marks },
      memory: memory && {
        value: memory.usedBytes,
        high: memory.limitBytes * MEMORY_HIGH_SHARE,
        // An empty queue can't give any more back: the rest is something else's, and what is left is left.
        low: memory.limitBytes * (batches === 0 ? MEMORY_HIGH_SHARE : MEMORY_LOW_SHARE),
      },
    };
  }
}

/** Whether a value that was or was not over its marks is so now. */
function isOver(wasOver: boolean, { value, high, low }: Level): boolean {
  return value >= high || (wasOver && value > low);
}

/** Infinity where the value does not fall. */
function secondsUntilLow(first: Level | undefined, last: Level | undefined, elapsed: number): number {
  if (!first || !last) return 0;
  const perSecond = (first.value - last.value) / elapsed;
  return perSecond > 0 ? (last.value - last.low) / perSecond : Number.POSITIVE_INFINITY;
}
