/** A crash after the commit of events, before anybody is woken to deliver them. For `ingest/store-batch.js` of a worker. */
import * as real from '../../../dist/ingest/store-batch.js';
import { die } from './die.mjs';

export function storeBatch(database, batch, observer) {
  return real.storeBatch(database, batch, { ...observer, onEvents: die });
}
