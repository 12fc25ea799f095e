/** What is promised holds whatever happens, with the queue in Redis. */
import { describe, inject } from 'vitest';
import { brokenBuilds } from '../faults/suites/broken-builds.ts';
import { crashPoints } from '../faults/suites/crash-points.ts';
import { randomFaults } from '../faults/suites/random-faults.ts';
import { upgrades } from '../faults/suites/upgrades.ts';

describe.skipIf(inject('redisUrl') === null)('with the queue in Redis', () => {
  randomFaults('redis');
  brokenBuilds('redis');
  crashPoints('redis');
  upgrades('redis');
});
