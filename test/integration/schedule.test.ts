/** What is to be done again and again is, by one process at a time, on both backends. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { QueueProvider, Schedule, ScheduledHandler } from '../../src/queue/queue.ts';
import { eventually, testConfig } from '../support/inlet.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { describeOnBothQueues, openProvider } from '../support/queues.ts';

const EVERY_MS = 250;

describeOnBothQueues('a schedule', ({ redisUrl }) => {
  let databaseUrl: string;
  let drop: () => Promise<void>;
  let open: () => QueueProvider;
  let schedules: Schedule[];

  beforeAll(async () => {
    const created = await createTestDatabase();
    databaseUrl = created.url;
    drop = created.drop;
  });

  afterAll(async () => {
    await drop?.();
  });

  beforeEach(() => {
    const config = testConfig({ databaseUrl, redisUrl });
    const name = `test-${randomUUID()}`;
    open = () => openProvider(config, name);
    schedules = [];
  });

  afterEach(async () => {
    for (const schedule of schedules) await schedule.close(2_000);
  });

  function schedule(handler: ScheduledHandler, everyMs = EVERY_MS): Schedule {
    const started = open().scheduleEvery('test', everyMs, handler);
    schedules.push(started);
    return started;
  }

  const reached = (count: () => number, wanted: number) =>
    eventually(async () => (count() >= wanted ? true : undefined));

  it('runs at once, and then at its times', async () => {
    const times: number[] = [];
    schedule(async () => {
      times.push(performance.now());
    });
    await reached(() => times.length, 5);
    const took = (times[4] ?? 0) - (times[0] ?? 0);
    expect(took).toBeGreaterThan(3 * EVERY_MS);
  });

  it('is shared by all that ask for it: one runs at a time, and not more often', async () => {
    let running = 0;
    let most = 0;
    const times: number[] = [];
    const handler: ScheduledHandler = async () => {
      times.push(performance.now());
      running += 1;
      most = Math.max(most, running);
      await delay(EVERY_MS * 1.5);
      running -= 1;
    };
    for (let i = 0; i < 3; i += 1) schedule(handler);
    await reached(() => times.length, 6);
    expect(most).toBe(1);
    // Each takes longer than the time between two, so they come one after the other.
    expect((times[5] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(5 * EVERY_MS);
  });

  it('goes on after a run that fails', async () => {
    let runs = 0;
    schedule(async () => {
      runs += 1;
      throw new Error('not today');
    });
    await reached(() => runs, 3);
  });

  it('goes on in another process when one stops, which ends the run in hand first', async () => {
    let ended = 0;
    const first = schedule(async (stopping) => {
      await delay(60_000, undefined, { signal: stopping }).catch(() => undefined);
      ended += 1;
    });
    await delay(EVERY_MS * 2);
    let runs = 0;
    schedule(async () => {
      runs += 1;
    });
    await delay(EVERY_MS * 2);
    expect(runs).toBe(0);
    await first.close(5_000);
    expect(ended).toBe(1);
    await reached(() => runs, 2);
  });

  it('is not started over by a process that joins later', async () => {
    let runs = 0;
    const count: ScheduledHandler = async () => {
      runs += 1;
    };
    schedule(count, 3_600_000);
    await reached(() => runs, 1);
    schedule(count, 3_600_000);
    await delay(1_000);
    expect(runs).toBe(1);
  });
});
