/** Jobs of a worker that has died are taken over after some 3 s instead of 15. For `queue/redis.js`. */
import * as real from '../../../dist/queue/redis.js';
import { withShortLocks } from './short-locks.mjs';

export * from '../../../dist/queue/redis.js';

export function redisBackend(options) {
  return withShortLocks(real.redisBackend(options));
}
