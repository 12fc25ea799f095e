import { defineConfig } from 'vitest/config';

/** Of tests that use services: each run starts its own, and what is left open at the end fails it. */
const onServices = {
  setupFiles: ['test/support/check-answers.ts'],
  globalSetup: ['test/support/global-setup.ts'],
  runner: 'test/support/runner.ts',
};

/**
 * Three tiers, by folder (CONTRIBUTING.md says which test belongs where). Files of the first two share a few processes:
 * loading the product anew for each file would take as long as the tests themselves.
 */
export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 3,
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], isolate: false },
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
          include: ['test/deep/**/*.test.ts'],
          // Takes an hour, and is run by itself.
          exclude: process.env['FAULTS_SUITE'] === 'soak' ? [] : ['test/deep/soak.test.ts'],
          ...onServices,
        },
      },
    ],
  },
});
