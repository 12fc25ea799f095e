/**
 * Looks for endpoints that have something due: retries whose time has come, replays and tests, of which the API only
 * writes rows, and whatever was committed by a process that died before it could put it into the queue.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { DueEndpoints } from '../store/webhook-due.ts';

/** How often it is looked, in milliseconds. */
const EVERY_MS = 1_000;

export interface Sweep {
  /** For how long the oldest of all that is due has been, in milliseconds; undefined before the first look. */
  oldestMs(): number | undefined;
  /** Resolves when the look in hand is over. */
  close(): Promise<void>;
}

/**
 * Looks until it is closed.
 * @param wake gets the endpoints that were found
 * @param everyMs how often it looks, in milliseconds
 */
export function keepSweeping(
  find: () => Promise<DueEndpoints>,
  wake: (endpointIds: readonly string[]) => void,
  onError: (error: Error) => void,
  everyMs = EVERY_MS,
): Sweep {
  const closing = new AbortController();
  let oldestMs: number | undefined;
  const look = async (): Promise<void> => {
    const due = await find();
    oldestMs = due.oldestMs;
    wake(due.ids);
  };
  const run = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      await look().catch(onError);
      await delay(everyMs, undefined, { signal: closing.signal, ref: false }).catch(() => undefined);
    }
  };
  const ended = run();
  return {
    oldestMs: () => oldestMs,
    async close() {
      closing.abort();
      await ended;
    },
  };
}
