/** A broken build: see no-stamp.mjs. For `queue/redis.js`. */
import * as real from '../../../dist/queue/redis.js';
import { withoutStamp } from './no-stamp.mjs';

export * from '../../../dist/queue/redis.js';

export function redisBackend(options) {
  return withoutStamp(real.redisBackend(options));
}
