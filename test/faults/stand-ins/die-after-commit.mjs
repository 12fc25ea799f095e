/** A crash after the commit of a batch, before its job is completed. For `ingest/store-batch.js` of a worker. */
import * as real from '../../../dist/ingest/store-batch.js';
import { die } from './die.mjs';

export * from '../../../dist/ingest/store-batch.js';

export async function storeBatch(...given) {
  await real.storeBatch(...given);
  die();
}

export async function storeTogether(...given) {
  await real.storeTogether(...given);
  die();
}
