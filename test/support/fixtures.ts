/**
 * What tests on services begin with: a database of the file's own, and an Inlet on it. A fixture is made for the first test
 * that names it, and closed after the last test of the file, or of the queue.
 */
import { afterAll, describe, inject, onTestFinished, test as plain } from 'vitest';
import type { Config } from '../../src/config.ts';
import type { QueueConfig } from '../../src/runtime.ts';
import type { QueueName, StartOptions } from './inlet.ts';
import { redisUrlOf, TestInlet, testConfig } from './inlet.ts';
import { createTestDatabase } from './postgres.ts';
import { connectStore } from './store.ts';

/** What the Inlet of a file is to be like, where that isn't as usual. */
export interface InletOptions extends StartOptions {
  readonly settings?: Partial<Config>;
  /** Done with the database before Inlet starts. */
  readonly prepare?: (databaseUrl: string) => Promise<unknown>;
  /** Told of the Inlet when it has started. */
  readonly onStarted?: (inlet: TestInlet) => void;
}

/**
 * `test` with a database (`databaseUrl`, and `store`, which is connected to it), the settings of an Inlet on it (`config`),
 * and that Inlet (`inlet`), an API and its workers in this process.
 * @param queue where its queue lives: in Redis unless told, where there is one
 */
export function inletTest(
  { settings, prepare, onStarted, ...options }: InletOptions = {},
  queue: QueueName = defaultQueue(),
) {
  return plain
    .extend(
      'databaseUrl',
      { scope: 'file' }, // biome-ignore lint/correctness/noEmptyPattern: vitest wants to be told that it needs nothing
      async ({}, { onCleanup }) => {
        const { url, drop } = await createTestDatabase();
        onCleanup(drop);
        await prepare?.(url);
        return url;
      },
    )
    .extend('store', { scope: 'file' }, ({ databaseUrl }, { onCleanup }) => {
      const store = connectStore(databaseUrl);
      onCleanup(() => store.close());
      return store;
    })
    .extend('config', { scope: 'file' }, ({ databaseUrl }) =>
      testConfig({ databaseUrl, redisUrl: redisUrlOf(queue) }, settings),
    )
    .extend('inlet', { scope: 'file' }, async ({ config }, { onCleanup }) => {
      const inlet = await TestInlet.start(config, options);
      onCleanup(() => inlet.close());
      onStarted?.(inlet);
      return inlet;
    });
}

export type InletTest = ReturnType<typeof inletTest>;

function defaultQueue(): QueueName {
  return inject('redisUrl') === null ? 'postgres' : 'redis';
}

/**
 * Declares a suite for both queues. Without a Redis its half is shown as skipped (in CI the whole run fails then).
 * @param suite gets the `test` of its queue
 * @param extend adds fixtures of the file's own; those with the scope `file` can't be declared in the suite
 */
export function describeOnBothQueues(
  name: string,
  suite: (test: InletTest, queue: QueueName) => void,
  options?: InletOptions,
): void;
export function describeOnBothQueues<Test>(
  name: string,
  suite: (test: Test, queue: QueueName) => void,
  options: InletOptions,
  extend: (test: InletTest, queue: QueueName) => Test,
): void;
export function describeOnBothQueues<Test>(
  name: string,
  suite: (test: Test, queue: QueueName) => void,
  options: InletOptions = {},
  extend = (test: InletTest, _queue: QueueName) => test as Test,
): void {
  for (const [queue, title] of [
    ['redis', 'Redis'],
    ['postgres', 'Postgres'],
  ] as const) {
    // Fixtures of a file can't be declared within a suite.
    const started: TestInlet[] = [];
    const test = extend(inletTest({ ...options, onStarted: (inlet) => started.push(inlet) }, queue), queue);
    describe.skipIf(queue === 'redis' && inject('redisUrl') === null)(`${name} (queue in ${title})`, () => {
      // One that is idle takes a fifth of a core from the tests on the other queue.
      afterAll(() => Promise.all(started.map((inlet) => inlet.close())));
      suite(test, queue);
    });
  }
}

/** A database for one test, beside that of the file. */
export async function freshDatabase(): Promise<string> {
  const { url, drop } = await createTestDatabase();
  onTestFinished(drop);
  return url;
}

/** An Inlet for one test, beside that of the file. */
export async function startInlet(config: QueueConfig, options?: StartOptions): Promise<TestInlet> {
  const inlet = await TestInlet.start(config, options);
  onTestFinished(() => inlet.close());
  return inlet;
}
