import { defineConfig } from 'vitest/config';

/** Of tests that use services: each run starts its own, and what is left open at the end fails it. */
const RUNNER = 'test/support/runner.ts';
const onServices = {
  setupFiles: ['test/support/check-answers.ts'],
  globalSetup: ['test/support/global-setup.ts'],
  runner: RUNNER,
};

/** Measure memory and need a core for themselves, so they come after the others. */
const MEMORY = ['test/deep/{body-memory,results}.test.ts'];
/** Takes an hour, and is run by itself. */
const SOAK = ['test/deep/soak.test.ts'];
/** Tests of random data, which the deep tests repeat with more of it. */
const RANDOM = ['test/unit/{json-check,json-outline,json-text,storable,write-schema}.test.ts'];
const RANDOM_ON_SERVICES = ['test/integration/permutations.test.ts'];
const MORE_ROUNDS = { TEST_ROUNDS: process.env['TEST_ROUNDS'] ?? '20' };

/**
 * Three tiers, by folder (CONTRIBUTING.md says which test belongs where): `npm test` runs the projects unit and integration,
 * `npm run test:deep` the others. Files of the first two share their processes: loading the product anew for each file
 * would take as long as the tests themselves.
 */
export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Twice as many as the cores that this is planned for: tests of services wait more than they compute.
    maxWorkers: 4,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], isolate: false, runner: RUNNER },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          isolate: false,
          ...onServices,
        },
      },
      {
        extends: true,
        test: {
          name: 'deep',
          include: ['test/deep/**/*.test.ts', ...RANDOM_ON_SERVICES],
          exclude: process.env['FAULTS_SUITE'] === 'soak' ? MEMORY : [...MEMORY, ...SOAK],
          env: { FAULTS_MINUTES: process.env['FAULTS_MINUTES'] ?? '2', ...MORE_ROUNDS },
          ...onServices,
        },
      },
      {
        extends: true,
        test: {
          name: 'deep-random',
          include: RANDOM,
          // Twenty times what takes two seconds at most, beside tests that use all cores.
          testTimeout: 180_000,
          isolate: false,
          runner: RUNNER,
          env: MORE_ROUNDS,
        },
      },
      {
        extends: true,
        test: {
          name: 'deep-memory',
          include: MEMORY,
          sequence: { groupOrder: 1 },
          maxWorkers: 1,
          ...onServices,
        },
      },
    ],
  },
});
