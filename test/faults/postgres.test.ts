/** What is promised holds whatever happens, with the queue in Postgres. */
import { describe } from 'vitest';
import { brokenBuilds } from './suites/broken-builds.ts';
import { crashPoints } from './suites/crash-points.ts';
import { randomFaults } from './suites/random-faults.ts';
import { upgrades } from './suites/upgrades.ts';

describe('with the queue in Postgres', () => {
  randomFaults('postgres');
  brokenBuilds('postgres');
  crashPoints('postgres');
  upgrades('postgres');
});
