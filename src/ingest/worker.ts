/** What a worker does with a batch: stores it, however long Postgres is away in between. */
import type { Batch } from '../domain/batch.ts';
import { laneOf } from '../queue/lane.ts';
import type { BatchHandler } from '../queue/queue.ts';
import { HandedBackError } from '../queue/queue.ts';
import type { Sleep } from '../queue/wait-out.ts';
import { isStopping, retryWaitMs } from '../queue/wait-out.ts';
import { faultKind } from '../store/faults.ts';
import type { Log } from '../telemetry.ts';
import type { StoreOutcome } from './store-outcome.ts';

/** Whether a batch that could not be stored is waited with, or left to the queue. */
export type AttemptFault = 'unavailable' | 'unexpected';

/** Told of what becomes of batches. Times are milliseconds. */
export interface BatchObserver {
  /** @param storeMs how long the attempt took that stored it, its wait for a transaction included */
  readonly onStored?: (batch: Batch, outcome: StoreOutcome, storeMs: number) => void;
  readonly onFault?: (fault: AttemptFault) => void;
  /** An attempt has ended, or a part of one: the batch is being worked on. */
  readonly onProgress?: (batch: Batch) => void;
}

/**
 * Makes the handler of a worker.
 *
 * Faults of the infrastructure are waited out here, with the job in hand: it uses up no attempts, and the
 * worker takes no further jobs that would fail just the same. Whatever else goes wrong is left to the queue,
 * which tries the job again later and lets others pass meanwhile.
 *
 * @param store stores one batch, and says so when a part of it, or of what it waits for, is done
 * @param sleep how it waits between attempts
 */
export function batchHandler(
  store: (batch: Batch, onProgress: () => void) => Promise<StoreOutcome>,
  log: Log,
  { onStored, onFault, onProgress }: BatchObserver = {},
  sleep?: Sleep,
): BatchHandler {
  return async (batch, stopping) => {
    const taken = performance.now();
    for (let attempt = 1; ; attempt += 1) {
      const begun = performance.now();
      const line = (outcome: string, counts: Partial<StoreOutcome> = {}) => ({
        batch: batch.id,
        outcome,
        ...counts,
        ...sizes(batch),
        attempts: attempt,
        storeMs: Math.round(performance.now() - begun),
        ms: Math.round(performance.now() - taken),
        // The one by the clock of this machine, the other by that of the queue's server.
        sinceAcceptedMs: Math.max(0, Math.round(Date.now() - batch.acceptedAt / 1_000)),
      });
      let outcome: StoreOutcome;
      try {
        outcome = await store(batch, () => onProgress?.(batch));
      } catch (err) {
        onProgress?.(batch);
        if (faultKind(err) !== 'infrastructure') {
          onFault?.('unexpected');
          log.error({ ...line('kept'), err }, 'could not store a batch: the queue keeps it');
          throw err;
        }
        onFault?.('unavailable');
        const waitMs = retryWaitMs(attempt);
        log.warn({ batch: batch.id, attempt, waitMs, err }, 'could not store a batch yet');
        if (await isStopping(waitMs, stopping, sleep)) {
          log.info(line('handed back'), 'gave a batch back: another worker takes it');
          throw new HandedBackError('the worker stops', { cause: err });
        }
        continue;
      }
      onStored?.(batch, outcome, performance.now() - begun);
      const became = line(outcome.requests > 0 ? 'stored' : 'superseded', outcome);
      if (outcome.failed > 0) log.warn(became, 'stored a batch, and kept objects that failed');
      else log.info(became, 'stored a batch');
      return;
    }
  };
}

function sizes(batch: Batch) {
  return {
    lane: laneOf(batch),
    requests: batch.requests.length,
    bytes: Buffer.byteLength(batch.objects),
  };
}
