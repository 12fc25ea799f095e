/** What is to be done again and again is, by one process at a time. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../src/store/database.ts';
import type { Schedule, ScheduledHandler } from '../../src/store/schedule.ts';
import { keepSchedule } from '../../src/store/schedule.ts';
import { eventually } from '../support/inlet.ts';
import type { TestStore } from '../support/store.ts';
import { openTestStore } from '../support/store.ts';

const EVERY_MS = 250;

describe('a schedule', () => {
  let store: TestStore;
  let database: Database;
  let name: string;
  let schedules: Schedule[];
  let errors: string[];

  beforeAll(async () => {
    store = await openTestStore();
    database = store.database;
  });

  afterAll(async () => {
    await store?.close();
  });

  beforeEach(() => {
    name = `test-${randomUUID()}`;
    schedules = [];
    errors = [];
  });

  afterEach(async () => {
    for (const schedule of schedules) await schedule.close(2_000);
  });

  function schedule(handler: ScheduledHandler, everyMs = EVERY_MS): Schedule {
    const onError = ({ message }: Error) => errors.push(message);
    const started = keepSchedule(database, { name, everyMs, onError }, handler);
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
    expect(errors).toContain('not today');
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

  it('is taken over when the process that is at it gives no sign of life any more', async () => {
    let runs = 0;
    await database.query({
      text: `INSERT INTO inlet.schedules (name, due_at, leased_until, holder)
             VALUES ($1, now(), now() + interval '1.5 seconds', 'killed')`,
      values: [name],
    });
    schedule(async () => {
      runs += 1;
    });
    await delay(500);
    expect(runs).toBe(0);
    await reached(() => runs, 1);
  });

  it('keeps its lease while a run takes longer than that', async () => {
    const leases = new Set<string>();
    let runs = 0;
    const begun = schedule(async (stopping) => {
      runs += 1;
      await delay(60_000, undefined, { signal: stopping }).catch(() => undefined);
    });
    await reached(() => runs, 1);
    await eventually(async () => {
      const [row] = await database.query<{ leased: string }>({
        text: 'SELECT leased_until::text AS leased FROM inlet.schedules WHERE name = $1',
        values: [name],
      });
      leases.add(row?.leased ?? '');
      return leases.size > 1 || undefined;
    }, 20_000);
    await begun.close(2_000);
  });
});
