/** What is to be done again and again is, by one process at a time. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished, vi } from 'vitest';
import type { Database, Queryable } from '../../src/store/database.ts';
import type { Schedule, ScheduledHandler } from '../../src/store/schedule.ts';
import { keepSchedule } from '../../src/store/schedule.ts';
import { inletTest } from '../support/fixtures.ts';
import { waitFor } from '../support/wait-for.ts';

const EVERY_MS = 100;

/** Starts schedules of one name, each as a process of its own would. */
function schedulesOn(database: Database) {
  const name = `test-${randomUUID()}`;
  const errors: string[] = [];
  const onError = ({ message }: Error) => errors.push(message);

  function schedule(
    handler: ScheduledHandler,
    everyMs = EVERY_MS,
  ): Schedule & { looked(times: number): Promise<void> } {
    let looks = 0;
    const on: Queryable = {
      async query(statement) {
        const rows = await database.query(statement);
        // What comes after the claim only where it got nothing.
        if (statement.text.includes('AS wait')) looks += 1;
        return rows as never;
      },
      write: (statement) => database.write(statement),
    };
    const started = keepSchedule(on, { name, everyMs, onError }, handler);
    onTestFinished(() => started.close(2_000));
    return { ...started, looked: (times) => reached('a look that finds nothing to do', () => looks, times) };
  }

  return { name, errors, schedule };
}

async function reached(what: string, count: () => number, wanted: number): Promise<void> {
  await waitFor(`${what}, ${wanted} times`, () => count() >= wanted);
}

/** Goes on until it is to stop. */
async function endless(stopping: AbortSignal): Promise<void> {
  await delay(60_000, undefined, { signal: stopping }).catch(() => undefined);
}

const test = inletTest();

describe('a schedule', () => {
  test('runs at once, and then at its times', async ({ store: { database } }) => {
    const times: number[] = [];
    schedulesOn(database).schedule(async () => {
      times.push(performance.now());
    });
    await reached('a run', () => times.length, 5);
    const took = (times[4] ?? 0) - (times[0] ?? 0);
    expect(took).toBeGreaterThan(3 * EVERY_MS);
  });

  test('is shared by all that ask for it: one runs at a time, and not more often', async ({
    store: { database },
  }) => {
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
    const { schedule } = schedulesOn(database);
    for (let i = 0; i < 3; i += 1) schedule(handler);
    await reached('a run', () => times.length, 6);
    expect(most).toBe(1);
    // Each takes longer than the time between two, so they come one after the other.
    expect((times[5] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(5 * EVERY_MS);
  });

  test('goes on after a run that fails', async ({ store: { database } }) => {
    let runs = 0;
    const { schedule, errors } = schedulesOn(database);
    schedule(async () => {
      runs += 1;
      throw new Error('not today');
    });
    await reached('a run', () => runs, 3);
    expect(errors).toContain('not today');
  });

  test('goes on in another process when one stops, which ends the run in hand first', async ({
    store: { database },
  }) => {
    let begun = 0;
    let ended = 0;
    const { schedule } = schedulesOn(database);
    const first = schedule(async (stopping) => {
      begun += 1;
      await endless(stopping);
      ended += 1;
    });
    await reached('a run', () => begun, 1);
    let runs = 0;
    const second = schedule(async () => {
      runs += 1;
    });
    // Half of the time lies between two looks: the last one comes when the next run is due.
    await second.looked(4);
    expect(runs).toBe(0);
    await first.close(5_000);
    expect(ended).toBe(1);
    await reached('a run of the other', () => runs, 2);
  });

  test('is not started over by a process that joins later', async ({ store: { database } }) => {
    let runs = 0;
    const count: ScheduledHandler = async () => {
      runs += 1;
    };
    const { schedule } = schedulesOn(database);
    schedule(count, 3_600_000);
    await reached('a run', () => runs, 1);
    await schedule(count, 3_600_000).looked(1);
    expect(runs).toBe(1);
  });

  test('is taken over when the process that is at it gives no sign of life any more', async ({
    store: { database },
  }) => {
    const { name, schedule } = schedulesOn(database);
    const [lease] = await database.query<{ ends: number }>({
      text: `INSERT INTO inlet.schedules (name, due_at, leased_until, holder)
             VALUES ($1, now(), now() + interval '0.5 seconds', 'killed')
             RETURNING extract(epoch FROM leased_until)::float8 * 1000 AS ends`,
      values: [name],
    });
    const times: number[] = [];
    schedule(async () => {
      times.push(Date.now());
    });
    await reached('a run', () => times.length, 1);
    // The clock of this process shows whole milliseconds.
    expect((times[0] ?? 0) + 1).toBeGreaterThan(lease?.ends ?? Number.POSITIVE_INFINITY);
  });

  test('keeps its lease while a run takes longer than that', async ({ store: { database } }) => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const { name, schedule } = schedulesOn(database);
    const leasedUntil = async (): Promise<number> => {
      const text =
        'SELECT extract(epoch FROM leased_until)::float8 AS ends FROM inlet.schedules WHERE name = $1';
      return (await database.query<{ ends: number }>({ text, values: [name] }))[0]?.ends ?? 0;
    };
    let runs = 0;
    const begun = schedule(async (stopping) => {
      runs += 1;
      await endless(stopping);
    });
    await reached('a run', () => runs, 1);
    const first = await leasedUntil();
    vi.advanceTimersByTime(10_000);
    await waitFor('another lease', async () => (await leasedUntil()) > first);
    expect(runs).toBe(1);
    await begun.close(2_000);
  });
});
