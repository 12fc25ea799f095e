/** Asks once a second how much is in the queue, for backpressure and metrics. */
import type { BatchQueue, QueueLoad } from '../queue/queue.ts';
import { Sampler } from './sampler.ts';

const INTERVAL_MS = 1_000;

export class LoadSampler extends Sampler<QueueLoad> {
  /** Begins at once. @param onSample called with each answer of the queue; must not throw */
  constructor(queue: Pick<BatchQueue, 'load'>, onSample: (load: QueueLoad) => void) {
    super(() => queue.load(), INTERVAL_MS, onSample);
  }
}
