/** A broken build: a write is acknowledged when its job is in the queue, and its stamp counts only later. For `queue/redis.js`. */
import * as real from '../../../dist/queue/redis.js';

export * from '../../../dist/queue/redis.js';

const LATER_MS = 50;

export function redisBackend(options) {
  const backend = real.redisBackend(options);
  return {
    ...backend,
    openProducer() {
      const producer = backend.openProducer();
      const raise = (stamp) => producer.addStamped(stamp, 0, async () => undefined).catch(() => undefined);
      return {
        ...producer,
        async addStamped(stamp, _own, add) {
          await add();
          setTimeout(() => void raise(stamp), LATER_MS);
          return stamp;
        },
      };
    },
  };
}
