/** What is measured of a worker: batches on their way out of the queue, and what becomes of their objects. */
import type { StoreOutcome } from '../ingest/store-outcome.ts';
import type { AttemptFault, BatchObserver } from '../ingest/worker.ts';
import type { Lane } from '../queue/lane.ts';
import { byLane, LANES, laneOf } from '../queue/lane.ts';
import type { Registry } from './registry.ts';

/** In seconds. */
const STORE_SECONDS = [...[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300]];
/** In seconds: while the queue is being worked through it may be hours. */
const WAIT_SECONDS = [
  ...[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3_600, 14_400, 86_400],
];

/** Makes the metrics of batches that are stored. */
export function storeMetrics(registry: Registry): BatchObserver {
  const storeHistogram = registry.histogram(
    'inlet_store_duration_seconds',
    'Time of the attempt that stored a batch, its wait for a transaction included, and the number of batches.',
    STORE_SECONDS,
  );
  const waitHistogram = registry.histogram(
    'inlet_accepted_to_stored_seconds',
    'Time from the acceptance of a request to the commit of its objects; of an import, of each of its chunks since its upload began.',
    WAIT_SECONDS,
  );
  const store = byLane((lane) => storeHistogram.series({ lane }));
  const wait = byLane((lane) => waitHistogram.series({ lane }));
  const objects = { stored: 0, overtaken: 0, failed: 0 };
  registry.counter('inlet_objects_total', 'Objects that workers are done with, by what became of them.', () =>
    Object.entries(objects).map(([outcome, count]) => [count, { outcome }]),
  );
  const count = (outcome: StoreOutcome): void => {
    objects.stored += outcome.stored;
    objects.overtaken += outcome.overtaken;
    objects.failed += outcome.failed;
  };
  const faults: Record<AttemptFault, number> = { unavailable: 0, refused: 0, unexpected: 0 };
  registry.counter(
    'inlet_store_retries_total',
    'Attempts to store a batch that failed and are retried, by reason.',
    () => Object.entries(faults).map(([reason, count]) => [count, { reason }]),
  );
  return {
    onStored(batch, outcome, storeMs) {
      const lane = laneOf(batch);
      store[lane].record(storeMs / 1_000);
      const waitedMs = Math.max(0, Date.now() - batch.acceptedAt / 1_000);
      wait[lane].record(waitedMs / 1_000, batch.requests.length);
      count(outcome);
    },
    onPart: count,
    onFault(fault) {
      faults[fault] += 1;
    },
  };
}

/** What is known of a worker beside what it does. */
export interface WatchedWorker {
  /** Batches in hand. */
  readonly inHand: (lane: Lane) => number;
  /** What is wrong with it; undefined where nothing is. */
  readonly problem: () => string | undefined;
}

export function watchMetrics(registry: Registry, { inHand, problem }: WatchedWorker): void {
  registry.gauge('inlet_worker_batches', 'Batches that the worker has in hand.', () =>
    LANES.map((lane) => [inHand(lane), { lane }]),
  );
  registry.gauge(
    'inlet_worker_stuck',
    'Whether the worker has stopped making progress, so that only a restart helps: 1 or 0.',
    () => Number(problem() !== undefined),
  );
}
