// Runs before each file of tests, see answers.ts.
import { afterAll, expect } from 'vitest';
import { checkedFetch, foundDifferences } from './answers.ts';

globalThis.fetch = checkedFetch(globalThis.fetch);

// Also where a test has waited for another answer, and so has passed over the error.
afterAll(() => {
  expect(foundDifferences()).toEqual([]);
});
