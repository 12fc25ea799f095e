/** A broken build: all Inlets take their queues for the same one. For `queue/redis.js`. */
import * as real from '../../../dist/queue/redis.js';

export * from '../../../dist/queue/redis.js';

export function redisBackend(options) {
  return real.redisBackend({ ...options, prefix: 'same', queueId: 'same' });
}
