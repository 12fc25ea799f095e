/**
 * Whether a worker makes progress, or has nothing to do. One that is wedged looks like one that is idle: it answers,
 * logs nothing, and only a restart helps. What it finds is what the worker's /healthz tells.
 *
 * What is away is no wedge, because a restart would not bring it back: attempts that fail are progress, errors of the
 * queue count as a try, and of a queue that can't be asked nothing is concluded.
 */
import type { Batch } from '../domain/batch.ts';
import type { ByLane, Lane } from '../queue/lane.ts';
import { byLane, LANES, laneOf } from '../queue/lane.ts';
import type { BatchHandler, BatchQueue } from '../queue/queue.ts';

/** In milliseconds. */
export interface WatchLimits {
  /** Longest time that nothing is done of a batch in hand. */
  readonly inHandMs: ByLane<number>;
  /** Longest time that batches wait though this worker has room for one and takes none. */
  readonly untakenMs: number;
  /** How often it is looked for such batches. */
  readonly lookEveryMs: number;
}

/**
 * Between two signs of progress stand at most four statements and a rollback, each of which gets 60 s; a batch that
 * stands in line has those of the transactions before it. The last chunk of an import, and a replay of objects of one,
 * have one that may take 15 minutes.
 */
export const WATCH_LIMITS: WatchLimits = {
  inHandMs: { writes: 5 * 60_000, imports: 20 * 60_000, replays: 20 * 60_000 },
  untakenMs: 2 * 60_000,
  lookEveryMs: 10_000,
};

export interface WorkerWatchOptions {
  readonly queue: Pick<BatchQueue, 'takeable'>;
  /** Batches of each lane that the worker has in hand at one time. */
  readonly concurrency: ByLane<number>;
  readonly limits: WatchLimits;
  /** Milliseconds, never going back. */
  readonly now?: () => number;
}

interface LaneState {
  /** The batches in hand, with the time at which something of each was last done. */
  readonly inHand: Map<Batch, number>;
  /** Since when every look has found batches that the worker could take, and it has taken none. */
  untakenSince: number | undefined;
}

export class WorkerWatch {
  readonly #options: WorkerWatchOptions;
  readonly #limits: WatchLimits;
  readonly #now: () => number;
  readonly #lanes: ByLane<LaneState>;
  readonly #timer: NodeJS.Timeout;

  /** It looks at the queue until it is closed. */
  constructor(options: WorkerWatchOptions) {
    this.#options = options;
    this.#limits = options.limits;
    this.#now = options.now ?? (() => performance.now());
    this.#lanes = byLane(() => ({ inHand: new Map(), untakenSince: undefined }));
    this.#timer = setInterval(() => void this.look(), this.#limits.lookEveryMs);
    this.#timer.unref();
  }

  /** Makes a handler whose batches are watched. */
  handler(handle: BatchHandler): BatchHandler {
    return async (batch, stopping) => {
      const lane = this.#lanes[laneOf(batch)];
      lane.untakenSince = undefined;
      lane.inHand.set(batch, this.#now());
      try {
        await handle(batch, stopping);
      } finally {
        lane.inHand.delete(batch);
      }
    };
  }

  /** An attempt to store a batch has ended, however it did, or a part of one. */
  onProgress(batch: Batch): void {
    const { inHand } = this.#lanes[laneOf(batch)];
    if (inHand.has(batch)) inHand.set(batch, this.#now());
  }

  /** The queue has reported an error: the worker tries, and it is not its fault. */
  onQueueError(): void {
    for (const lane of LANES) this.#lanes[lane].untakenSince = undefined;
  }

  /** How many batches are in hand. */
  inHand(lane: Lane): number {
    return this.#lanes[lane].inHand.size;
  }

  /** What is wrong with the worker; undefined where nothing is. */
  problem(): string | undefined {
    const now = this.#now();
    for (const lane of LANES) {
      const { inHand, untakenSince } = this.#lanes[lane];
      const stuckMs = Math.max(0, ...[...inHand.values()].map((since) => now - since));
      if (stuckMs > this.#limits.inHandMs[lane]) {
        return `a batch of the lane ${lane} has been in hand for ${seconds(stuckMs)} without anything of it being done`;
      }
      const untakenMs = untakenSince === undefined ? 0 : now - untakenSince;
      if (untakenMs > this.#limits.untakenMs) {
        return `batches of the lane ${lane} wait, and for ${seconds(untakenMs)} none was taken though there is room for one`;
      }
    }
    return undefined;
  }

  /** Looks for batches that could be taken; called by its own timer. */
  async look(): Promise<void> {
    await Promise.all(LANES.map((lane) => this.#lookAt(lane)));
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #lookAt(lane: Lane): Promise<void> {
    const state = this.#lanes[lane];
    const before = state.untakenSince;
    const hasRoom = (): boolean => state.inHand.size < this.#options.concurrency[lane];
    const now = this.#now();
    // Where it can't be told, there is nothing to be concluded.
    const takeable = hasRoom() ? await this.#options.queue.takeable(lane).catch(() => 0) : 0;
    if (takeable === 0 || !hasRoom()) state.untakenSince = undefined;
    // Unless one was taken, or an error came, while the answer was on its way.
    else if (state.untakenSince === before) state.untakenSince ??= now;
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`;
}
