/** Waiting out what is away, with the job in hand. */
import { setTimeout as delay } from 'node:timers/promises';

/** Resolves with the value after so many milliseconds, and rejects when it is aborted. */
export type Sleep = typeof delay;

const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 10_000;

/** How long to wait after an attempt, from 1, that could not succeed yet: twice as long each time, up to 10 s. */
export function retryWaitMs(attempt: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** Math.min(attempt - 1, 10), LONGEST_RETRY_MS);
}

/**
 * Waits for about that long, so that not all who wait come back at the same moment.
 * @param sleep how it waits
 * @returns true where it is to stop
 */
export async function isStopping(ms: number, stopping: AbortSignal, sleep: Sleep = delay): Promise<boolean> {
  return sleep(ms * (0.5 + Math.random() / 2), false, { signal: stopping }).catch(() => true);
}
