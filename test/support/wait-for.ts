import { setTimeout as delay } from 'node:timers/promises';

/**
 * Asks until the answer is neither undefined nor false, and returns it. An error of `ask` is a "not yet" too, and the
 * cause of the failure when time is up; but not that of an `expect`, which holds at each look or fails the test.
 *
 * @param what for the message, like `Redis to answer`
 * @param timeout in milliseconds
 */
export async function waitFor<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  timeout = 20_000,
): Promise<T> {
  let cause: unknown;
  for (const end = Date.now() + timeout; Date.now() < end; await delay(20)) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      cause = undefined;
    } catch (error) {
      if ((error as Error).name === 'AssertionError') throw error;
      cause = error;
    }
  }
  throw new Error(`waited ${timeout} ms in vain for ${what}`, { cause });
}
