// Runs before each file of tests, see answers.ts.
import { afterAll, expect } from 'vitest';
import { checkedFetch, forgetAnswers, foundDifferences } from './answers.ts';

const plainFetch = globalThis.fetch;
globalThis.fetch = checkedFetch(plainFetch);
forgetAnswers();

// Also where a test has waited for another answer, and so has passed over the error.
afterAll(() => {
  // The next file in this process brings its own.
  globalThis.fetch = plainFetch;
  expect(foundDifferences()).toEqual([]);
});
