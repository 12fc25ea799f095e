/** A version whose jobs' keys carry no id of the queue (its marks do). For `queue/redis.js`. */
import * as real from '../../../dist/queue/redis.js';
import { withShortLocks } from './short-locks.mjs';

export * from '../../../dist/queue/redis.js';

export function redisBackend(options) {
  const { createEarlierWorker, openProducer } = withShortLocks(real.redisBackend(options));
  return {
    createWorker: createEarlierWorker,
    openProducer() {
      const { earlier, ...producer } = openProducer();
      return { ...producer, createQueue: earlier.createQueue };
    },
  };
}
