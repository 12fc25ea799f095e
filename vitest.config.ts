import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Takes an hour, and is run by itself.
    exclude: process.env['FAULTS_SUITE'] === 'soak' ? [] : ['test/faults/soak.test.ts'],
    setupFiles: ['test/support/check-answers.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
