/** A broken build: a job is over as soon as its worker has begun to store it. For `ingest/worker.js`. */
import * as real from '../../../dist/ingest/worker.js';

export function batchHandler(...options) {
  const handle = real.batchHandler(...options);
  return async (batch, stopping) => {
    handle(batch, stopping).catch(() => undefined);
  };
}
