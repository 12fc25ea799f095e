/** The queue as producers use it, with somebody who is told what goes in. */
import type { Lane } from '../queue/lane.ts';
import { laneOf } from '../queue/lane.ts';
import type { BatchQueue, UnstampedBatch } from '../queue/queue.ts';

export interface EnqueueObserver {
  /** @param ms how long it took until the batch was on disk */
  readonly onEnqueued: (lane: Lane, batch: UnstampedBatch, ms: number) => void;
  readonly onFailed: (lane: Lane) => void;
}

/** What producers need of the queue. */
export type ProducerQueue = Pick<BatchQueue, 'add' | 'importBacklog' | 'stamp'>;

export function observedQueue(
  queue: ProducerQueue,
  { onEnqueued, onFailed }: EnqueueObserver,
): ProducerQueue {
  return {
    async add(batch, isWanted) {
      const begun = performance.now();
      const lane = laneOf(batch);
      await queue.add(batch, isWanted).catch((error: unknown) => {
        onFailed(lane);
        throw error;
      });
      onEnqueued(lane, batch, performance.now() - begun);
    },
    importBacklog: () => queue.importBacklog(),
    stamp: () => queue.stamp(),
  };
}
