/** What is promised holds whatever happens, with the queue in Redis: a short form of test/deep/faults-on-redis.test.ts. */
import { describe, inject } from 'vitest';
import { everyFault } from '../faults/suites/every-fault.ts';

describe.skipIf(inject('redisUrl') === null)('with the queue in Redis', () => {
  everyFault('redis');
});
