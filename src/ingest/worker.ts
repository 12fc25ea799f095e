/** What a worker does with a batch: stores it, and retries what fails without holding up other batches. */
import type { Batch } from '../domain/batch.ts';
import { laneOf } from '../queue/lane.ts';
import type { BatchHandler } from '../queue/queue.ts';
import { HandedBackError } from '../queue/queue.ts';
import type { Sleep } from '../queue/wait-out.ts';
import { isStopping, retryWaitMs } from '../queue/wait-out.ts';
import { isConnectionFault } from '../store/faults.ts';
import type { Log } from '../telemetry.ts';
import { errorReporter } from '../telemetry.ts';
import type { StoreOutcome } from './store-outcome.ts';
import { ObjectsRefusedError } from './store-outcome.ts';

/** Why an attempt is made again: Postgres can't be reached, it has refused objects, or anything else. */
export type AttemptFault = 'unavailable' | 'refused' | 'unexpected';

/**
 * How often a batch is tried with Postgres away until it goes back to the queue. An outage that is over soon costs the queue
 * nothing; a batch whose storing ends the connection each time must not keep its place for ever.
 */
const TRIES_IN_HAND = 6;

/** How long a batch stays in hand where the table takes no writes at all, so that the queue isn't gone through in vain, in milliseconds. */
const BROKEN_WAIT_MS = 1_000;

/** Told of what becomes of batches. Times are milliseconds. */
export interface BatchObserver {
  /** @param storeMs how long the attempt took that stored it, its wait for a transaction included */
  readonly onStored?: (batch: Batch, outcome: StoreOutcome, storeMs: number) => void;
  /** A part of the batch is done, the rest is tried again later. */
  readonly onPart?: (outcome: StoreOutcome) => void;
  readonly onFault?: (fault: AttemptFault) => void;
  /** An attempt has ended, or a part of one: the batch is being worked on. */
  readonly onProgress?: (batch: Batch) => void;
}

/**
 * Makes the handler of a worker.
 *
 * Short outages of Postgres are waited out here, with the job in hand: further jobs would fail just the same. Whatever else
 * goes wrong is left to the queue, which tries the job again later: what waits holds no place that others need.
 *
 * @param store stores one batch, and says so when a part of it, or of what it waits for, is done
 * @param sleep how it waits between attempts
 */
export function batchHandler(
  store: (batch: Batch, onProgress: () => void) => Promise<StoreOutcome>,
  log: Log,
  { onStored, onPart, onFault, onProgress }: BatchObserver = {},
  sleep?: Sleep,
): BatchHandler {
  const reportWait = errorReporter(log, 'could not store a batch yet');
  const reportAway = errorReporter(log, 'Postgres is unavailable: the batch goes back to the queue');
  const reportRefused = errorReporter(log, 'Postgres refused objects of a batch, retrying them later');
  const reportKept = errorReporter(log, 'could not store a batch: the queue keeps it', 'error');
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
        if (err instanceof ObjectsRefusedError) {
          const { outcome: done, refused, refusals } = err;
          onFault?.('refused');
          onPart?.(done);
          const { objects, sqlStates } = refused;
          reportRefused(err, { ...line('refused', done), refusedObjects: objects, sqlStates, refusals });
          if (refused.isBroken) await isStopping(BROKEN_WAIT_MS, stopping, sleep);
          throw err;
        }
        if (!isConnectionFault(err)) {
          onFault?.('unexpected');
          reportKept(err as Error, line('kept'));
          throw err;
        }
        onFault?.('unavailable');
        if (attempt === TRIES_IN_HAND) {
          reportAway(err, line('kept'));
          throw err;
        }
        const waitMs = retryWaitMs(attempt);
        reportWait(err, { batch: batch.id, attempt, waitMs });
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
