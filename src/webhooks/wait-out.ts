/** Outages of Postgres are waited out: what is in hand would fail anywhere else just the same. */
import { isStopping, retryWaitMs } from '../queue/wait-out.ts';
import { isConnectionFault } from '../store/faults.ts';
import type { ErrorReporter } from '../telemetry.ts';

/**
 * Runs something, again and again while Postgres is away.
 * @param report told of each fault
 * @param stopping ends the wait
 * @throws what `run` throws: what is no fault of the connection, or the last fault when it is to stop
 */
export async function waitOut<T>(
  run: () => Promise<T>,
  report: ErrorReporter,
  stopping: AbortSignal,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run();
    } catch (err) {
      if (!isConnectionFault(err) || stopping.aborted) throw err;
      const waitMs = retryWaitMs(attempt);
      report(err as Error, { attempt, waitMs });
      await isStopping(waitMs, stopping);
    }
  }
}
