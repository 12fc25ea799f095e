/** What a worker does with a task of the evaluation: evaluates its batch, however long Postgres is away in between. */
import type { BatchId } from '../domain/request-id.ts';
import type { TaskHandler } from '../queue/queue.ts';
import { HandedBackError } from '../queue/queue.ts';
import { isStopping, retryWaitMs } from '../queue/wait-out.ts';
import { isConnectionFault } from '../store/faults.ts';
import type { Log } from '../telemetry.ts';
import { errorReporter } from '../telemetry.ts';
import type { EvaluationOutcome } from './evaluate-batch.ts';

/**
 * Makes the handler of tasks, each of which is the id of a batch. Outages of Postgres are waited out with the task in
 * hand; whatever else goes wrong is left to the queue, which tries it again later.
 * @param evaluate evaluates what of a batch waits
 */
export function evaluationHandler(
  evaluate: (batchId: BatchId, stopping: AbortSignal) => Promise<EvaluationOutcome>,
  log: Log,
): TaskHandler {
  const reportWait = errorReporter(log, 'could not evaluate a batch yet');
  const reportFailure = errorReporter(log, 'could not evaluate a batch: it is tried again', 'error');
  return async (batch, stopping) => {
    const begun = performance.now();
    for (let attempt = 1; ; attempt += 1) {
      try {
        const outcome = await evaluate(batch, stopping);
        // Somebody else was faster.
        if (outcome.requests === 0) return;
        const line = { batch, ...outcome, attempts: attempt, ms: Math.round(performance.now() - begun) };
        if (outcome.failed + outcome.timedOut > 0) log.warn(line, 'evaluated a batch, and some of it failed');
        else log.info(line, 'evaluated a batch');
        return;
      } catch (err) {
        if (err instanceof HandedBackError || stopping.aborted) {
          log.info({ batch }, 'gave an evaluation back: another worker takes it');
          throw err instanceof HandedBackError
            ? err
            : new HandedBackError('the worker stops', { cause: err });
        }
        if (!isConnectionFault(err)) {
          reportFailure(err as Error, { batch });
          throw err;
        }
        const waitMs = retryWaitMs(attempt);
        reportWait(err as Error, { batch, attempt, waitMs });
        if (await isStopping(waitMs, stopping)) throw new HandedBackError('the worker stops', { cause: err });
      }
    }
  };
}
