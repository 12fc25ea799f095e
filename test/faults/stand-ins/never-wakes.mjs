/** A worker that wakes nobody: events are found by the sweep alone. For `ingest/store-batch.js`. */
import * as real from '../../../dist/ingest/store-batch.js';

export * from '../../../dist/ingest/store-batch.js';

export function storeBatch(database, batch, observer) {
  return real.storeBatch(database, batch, { ...observer, onEvents: () => undefined });
}

export function storeTogether(database, batches, observer) {
  return real.storeTogether(database, batches, { ...observer, onEvents: () => undefined });
}
