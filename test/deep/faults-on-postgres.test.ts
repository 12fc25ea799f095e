/** What is promised holds whatever happens, with the queue in Postgres. */
import { describe } from 'vitest';
import { brokenBuilds } from '../faults/suites/broken-builds.ts';
import { crashPoints } from '../faults/suites/crash-points.ts';
import { randomFaults } from '../faults/suites/random-faults.ts';
import { upgrades } from '../faults/suites/upgrades.ts';

describe('with the queue in Postgres', () => {
  randomFaults('postgres');
  brokenBuilds('postgres');
  crashPoints('postgres');
  upgrades('postgres');
});
