import { defineConfig } from 'vitest/config';

/** What talks to real services, except what is listed below. */
const SERVICES = 'test/{corpus,faults,integration}/**/*.test.ts';
/** Measures memory while a server has as much to do as it can take, and needs a core for it. */
const MEMORY = 'test/integration/body-memory.test.ts';
/** Takes an hour, and is run by itself. */
const SOAK = 'test/faults/soak.test.ts';

const onServices = {
  setupFiles: ['test/support/check-answers.ts'],
  globalSetup: ['test/support/global-setup.ts'],
};

/**
 * Two groups, one after the other. The first waits for services more than it computes, so it gets a worker more than
 * the two cores that it is planned for.
 */
export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'services',
          include: [SERVICES],
          exclude: process.env['FAULTS_SUITE'] === 'soak' ? [MEMORY] : [MEMORY, SOAK],
          ...onServices,
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'memory',
          include: [MEMORY],
          ...onServices,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
