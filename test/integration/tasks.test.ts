/** Tasks: what is nothing but an id is done once by one of many workers, on both backends. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import type { BatchConsumer, TaskHandler } from '../../src/queue/queue.ts';
import { HandedBackError } from '../../src/queue/queue.ts';
import type { QueueConfig } from '../../src/runtime.ts';
import { describeOnBothQueues } from '../support/fixtures.ts';
import { openProvider, whenConnected } from '../support/queues.ts';
import { waitFor } from '../support/wait-for.ts';

/** A queue of tasks for one test. */
function openTasks(config: QueueConfig) {
  const provider = openProvider(config, `test-${randomUUID()}`);
  const tasks = provider.openTasks();
  onTestFinished(() => tasks.close());
  return {
    add: (...ids: string[]) => whenConnected(() => tasks.add(ids)),
    consume(handler: TaskHandler, concurrency = 4): BatchConsumer {
      const consumer = provider.consumeTasks(handler, { concurrency });
      onTestFinished(() => consumer.close(1_000));
      return consumer;
    },
  };
}

describeOnBothQueues('tasks', (test) => {
  test('hands each task to one of the workers', async ({ config }) => {
    const { add, consume } = openTasks(config);
    const done: string[] = [];
    const handler: TaskHandler = async (id) => {
      done.push(id);
    };
    consume(handler);
    consume(handler);
    const ids = Array.from({ length: 50 }, (_, i) => `id_${i}`);
    await add(...ids);
    await waitFor('all tasks to be done', () => done.length >= ids.length);
    expect(done.sort()).toEqual(ids.sort());
  });

  test('takes a task that waits already once, and again when it is over', async ({ config }) => {
    const { add, consume } = openTasks(config);
    await add('a', 'a', '1');
    await add('a');
    await add('last');
    const done: string[] = [];
    // One after the other: whatever waits before the last has been done by then.
    consume(async (id) => {
      done.push(id);
    }, 1);
    await waitFor('the last task', () => done.includes('last'));
    expect(done.sort()).toEqual(['1', 'a', 'last']);
    await waitFor('the task once more', async () => {
      await add('a');
      return done.length >= 4;
    });
  });

  test('never has a task in two hands', async ({ config }) => {
    const { add, consume } = openTasks(config);
    let running = 0;
    let most = 0;
    let runs = 0;
    const handler: TaskHandler = async () => {
      running += 1;
      runs += 1;
      most = Math.max(most, running);
      await delay(50);
      running -= 1;
    };
    consume(handler);
    consume(handler);
    await waitFor('five runs', async () => {
      await add('only');
      return runs >= 5;
    });
    expect(most).toBe(1);
  });

  test('tries a task again that has failed', async ({ config }) => {
    const { add, consume } = openTasks(config);
    let tries = 0;
    consume(async () => {
      tries += 1;
      if (tries < 2) throw new Error('not yet');
    });
    await add('a');
    await waitFor('the second try', () => tries === 2);
  });

  test('gives a task back when the process stops, and another takes it', async ({ config }) => {
    const { add, consume } = openTasks(config);
    let begun = 0;
    const first = consume(async (_id, stopping) => {
      begun += 1;
      await delay(60_000, undefined, { signal: stopping }).catch(() => undefined);
      throw new HandedBackError('the worker stops');
    });
    await add('a');
    await waitFor('the task to begin', () => begun === 1);
    const done: string[] = [];
    await first.close(5_000);
    consume(async (id) => {
      done.push(id);
    });
    await waitFor('the task', () => done.includes('a'));
  });
});
