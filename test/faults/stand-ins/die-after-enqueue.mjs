/** A crash after the enqueue of a write, before its answer. For `ingest/observed-queue.js` of an API. */
import * as real from '../../../dist/ingest/observed-queue.js';
import { die } from './die.mjs';

export function observedQueue(queue, observer) {
  const observed = real.observedQueue(queue, observer);
  return {
    ...observed,
    async add(batch, isWanted) {
      await observed.add(batch, isWanted);
      die();
    },
  };
}
