/** What a worker does with a batch: stores it, however long Postgres is away in between. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Batch } from '../domain/batch.ts';
import type { BatchHandler } from '../queue/queue.ts';
import { HandedBackError } from '../queue/queue.ts';
import { faultKind } from '../store/faults.ts';
import type { Log } from '../telemetry.ts';
import type { StoreOutcome } from './store-batch.ts';

const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 10_000;

/**
 * Makes the handler of a worker.
 *
 * Faults of the infrastructure are waited out here, with the job in hand: it uses up no attempts, and the
 * worker takes no further jobs that would fail just the same. Whatever else goes wrong is left to the queue,
 * which tries the job again later and lets others pass meanwhile.
 *
 * @param store stores one batch in one transaction
 */
export function batchHandler(store: (batch: Batch) => Promise<StoreOutcome>, log: Log): BatchHandler {
  return async (batch, stopping) => {
    const started = performance.now();
    for (let attempt = 1; ; attempt += 1) {
      try {
        const outcome = await store(batch);
        const line = { batch: batch.id, ...outcome, attempt, ms: Math.round(performance.now() - started) };
        if (outcome.failed > 0)
          log.warn(line, 'stored a batch, and kept objects that Postgres refused as failed');
        else log.debug(line, 'stored a batch');
        return;
      } catch (error) {
        if (faultKind(error) !== 'infrastructure') {
          log.error({ batch: batch.id, attempt, err: error }, 'could not store a batch: the queue keeps it');
          throw error;
        }
        const waitMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(attempt - 1, 10), LONGEST_RETRY_MS);
        log.warn({ batch: batch.id, attempt, waitMs, err: error }, 'could not store a batch yet');
        await waitUnlessStopping(waitMs, stopping);
      }
    }
  };
}

async function waitUnlessStopping(ms: number, stopping: AbortSignal): Promise<void> {
  try {
    // Workers that failed together should not all come back at the same moment.
    await delay(ms * (0.5 + Math.random() / 2), undefined, { signal: stopping });
  } catch (cause) {
    throw new HandedBackError('the worker stops', { cause });
  }
}
