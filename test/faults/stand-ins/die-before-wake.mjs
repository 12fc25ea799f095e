/** A crash after the commit of events, before anybody is woken to deliver them. For `ingest/store-batch.js` of a worker. */
import * as real from '../../../dist/ingest/store-batch.js';
import { die } from './die.mjs';

export * from '../../../dist/ingest/store-batch.js';

export function storeBatch(database, batch, observer) {
  return real.storeBatch(database, batch, { ...observer, onEvents: die });
}

export function storeTogether(database, batches, observer) {
  return real.storeTogether(database, batches, { ...observer, onEvents: die });
}
