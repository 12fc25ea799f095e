/** `test` with a world of its own, which is started for the first test and closed after the last one of the file. */
import { describe, inject, test as plain } from 'vitest';
import type { QueueName, WorldOptions } from './world.ts';
import { startWorld } from './world.ts';

export function worldTest(options: WorldOptions) {
  // biome-ignore lint/correctness/noEmptyPattern: vitest wants to be told that it needs nothing
  return plain.extend('world', { scope: 'file' }, async ({}, { onCleanup }) => {
    const world = await startWorld(options);
    onCleanup(() => world.close());
    return world;
  });
}

/** Declares a suite on one of the queues. Without a Redis it is shown as skipped (in CI the whole run fails then). */
export function describeOn(queue: QueueName, name: string, suite: () => void): void {
  describe.skipIf(queue === 'redis' && inject('redisUrl') === null)(
    `${name}, with the queue in ${queue}`,
    suite,
  );
}
