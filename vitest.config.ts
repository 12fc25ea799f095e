import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'services',
          include: ['test/{corpus,faults,integration}/**/*.test.ts'],
          // Takes an hour, and is run by itself.
          exclude: process.env['FAULTS_SUITE'] === 'soak' ? [] : ['test/faults/soak.test.ts'],
          setupFiles: ['test/support/check-answers.ts'],
          globalSetup: ['test/support/global-setup.ts'],
        },
      },
    ],
  },
});
