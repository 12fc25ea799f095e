/** Tasks: what is nothing but an id is done once by one of many workers, on both backends. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { BatchConsumer, QueueProvider, TaskHandler, TaskQueue } from '../../src/queue/queue.ts';
import { HandedBackError } from '../../src/queue/queue.ts';
import { eventually, testConfig } from '../support/inlet.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { describeOnBothQueues, openProvider, whenConnected } from '../support/queues.ts';

describeOnBothQueues('tasks', ({ redisUrl }) => {
  let created: Awaited<ReturnType<typeof createTestDatabase>>;
  let provider: QueueProvider;
  let tasks: TaskQueue;
  let consumers: BatchConsumer[];

  beforeAll(async () => {
    created = await createTestDatabase();
  });

  afterAll(async () => {
    await created?.drop();
  });

  beforeEach(() => {
    provider = openProvider(testConfig({ databaseUrl: created.url, redisUrl }), `test-${randomUUID()}`);
    tasks = provider.openTasks();
    consumers = [];
  });

  afterEach(async () => {
    for (const consumer of consumers) await consumer.close(1_000);
    await tasks.close();
  });

  function consume(handler: TaskHandler, concurrency = 4): BatchConsumer {
    const consumer = provider.consumeTasks(handler, { concurrency });
    consumers.push(consumer);
    return consumer;
  }

  const add = (...ids: string[]) => whenConnected(() => tasks.add(ids));

  it('hands each task to one of the workers', async () => {
    const done: string[] = [];
    const handler: TaskHandler = async (id) => {
      done.push(id);
    };
    consume(handler);
    consume(handler);
    const ids = Array.from({ length: 50 }, (_, i) => `id_${i}`);
    await add(...ids);
    await eventually(async () => (done.length >= ids.length ? true : undefined));
    expect(done.sort()).toEqual(ids.sort());
  });

  it('takes a task that waits already once, and again when it is over', async () => {
    await add('a', 'a', '1');
    await add('a');
    const done: string[] = [];
    consume(async (id) => {
      done.push(id);
    });
    await eventually(async () => (done.length >= 2 ? true : undefined));
    await delay(300);
    expect(done.sort()).toEqual(['1', 'a']);
    await eventually(async () => {
      await add('a');
      return done.length >= 3 || undefined;
    });
  });

  it('never has a task in two hands', async () => {
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
    await eventually(async () => {
      await add('only');
      return runs >= 5 || undefined;
    });
    expect(most).toBe(1);
  });

  it('tries a task again that has failed', async () => {
    let tries = 0;
    consume(async () => {
      tries += 1;
      if (tries < 2) throw new Error('not yet');
    });
    await add('a');
    await eventually(async () => (tries === 2 ? true : undefined));
  });

  it('gives a task back when the process stops, and another takes it', async () => {
    const first = consume(async (_id, stopping) => {
      await delay(60_000, undefined, { signal: stopping }).catch(() => undefined);
      throw new HandedBackError('the worker stops');
    });
    await add('a');
    await delay(200);
    const done: string[] = [];
    await first.close(5_000);
    consume(async (id) => {
      done.push(id);
    });
    await eventually(async () => (done.includes('a') ? true : undefined));
  });
});
