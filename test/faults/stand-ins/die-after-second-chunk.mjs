/** A crash between two chunks of an upload. For `ingest/observed-queue.js` of an API. */
import * as real from '../../../dist/ingest/observed-queue.js';
import { die } from './die.mjs';

export function observedQueue(queue, observer) {
  const observed = real.observedQueue(queue, observer);
  let chunks = 0;
  return {
    ...observed,
    async add(batch, isWanted) {
      // Two are on their way at a time: the third must not be in the queue already.
      if (chunks === 2) await new Promise(() => undefined);
      chunks += 1;
      await observed.add(batch, isWanted);
      if (chunks === 2) die();
    },
  };
}
