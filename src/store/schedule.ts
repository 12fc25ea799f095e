/**
 * What is done again and again, by one process at a time of however many ask for it.
 *
 * A row says when the next run is due and whose it is. BullMQ's job schedulers can lose a schedule that several
 * processes set up at the same moment; and a lease in a row, unlike an advisory lock, gets through every pooler.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Queryable } from './database.ts';

/** How long a run belongs to a process that gives no sign of life, in milliseconds. */
const LEASE_MS = 30_000;

/** Longest time between two looks at the row, in milliseconds: another process may have died at it. */
const LONGEST_WAIT_MS = 10_000;

/** Does what is done again and again; `stopping` is aborted when the process is to stop. */
export type ScheduledHandler = (stopping: AbortSignal) => Promise<void>;

/** Something that is done again and again until it is closed. */
export interface Schedule {
  /** Waits for a run in hand (at most `graceMs`), then lets go of it. */
  close(graceMs: number): Promise<void>;
}

export interface ScheduleOptions {
  /** What it is; processes that give the same name share it. */
  readonly name: string;
  /** Milliseconds from the beginning of one run to that of the next; a run that takes longer is not joined by another. */
  readonly everyMs: number;
  /** Told of runs that have failed, and of a database that can't be asked. */
  readonly onError: (error: Error) => void;
}

/**
 * Runs `handler` for the first time now, and then every `everyMs` milliseconds. A run that fails is reported, and the
 * next one comes at its time.
 */
export function keepSchedule(on: Queryable, options: ScheduleOptions, handler: ScheduledHandler): Schedule {
  const stopping = new AbortController();
  const ended = keepRunning(on, options, handler, stopping.signal);
  return {
    async close(graceMs) {
      stopping.abort();
      await Promise.race([ended, delay(graceMs, undefined, { ref: false })]);
    },
  };
}

async function keepRunning(
  on: Queryable,
  { name, everyMs, onError }: ScheduleOptions,
  handler: ScheduledHandler,
  stopping: AbortSignal,
): Promise<void> {
  const holder = randomUUID();
  while (!stopping.aborted) {
    let waitMs = Math.min(everyMs, LONGEST_WAIT_MS);
    try {
      waitMs = await claim(on, name, everyMs, holder);
      if (waitMs === 0) {
        await runLeased(on, name, holder, () => handler(stopping), onError);
        continue;
      }
    } catch (error) {
      onError(error as Error);
    }
    await delay(Math.min(waitMs, LONGEST_WAIT_MS), undefined, { signal: stopping }).catch(() => undefined);
  }
}

/** The run that is due is this process's from now on, and the next one is due `everyMs` later. */
const CLAIM = `
  INSERT INTO inlet.schedules AS schedule (name, due_at, leased_until, holder)
  VALUES ($1, now() + $2 * interval '1 ms', now() + $3 * interval '1 ms', $4)
  ON CONFLICT (name) DO UPDATE SET
    due_at = excluded.due_at, leased_until = excluded.leased_until, holder = excluded.holder
  WHERE schedule.due_at <= now() AND schedule.leased_until <= now()
  RETURNING 1`;

/** The lease is looked at again soon: it ends with the run. */
const WAIT = `
  SELECT greatest(
    extract(epoch FROM due_at - now()) * 1000,
    CASE WHEN leased_until > now() THEN $2 ELSE 0 END,
    10
  )::float8 AS wait
  FROM inlet.schedules WHERE name = $1`;

/** @returns 0 where this process has the run now; otherwise how long to wait before the next look, in milliseconds */
async function claim(on: Queryable, name: string, everyMs: number, holder: string): Promise<number> {
  const claimed = await on.query({ text: CLAIM, values: [name, everyMs, LEASE_MS, holder] });
  if (claimed.length > 0) return 0;
  const [row] = await on.query<{ wait: number }>({
    text: WAIT,
    values: [name, Math.min(everyMs, 1_000) / 2],
  });
  return row?.wait ?? 0;
}

async function runLeased(
  on: Queryable,
  name: string,
  holder: string,
  run: () => Promise<void>,
  onError: (error: Error) => void,
): Promise<void> {
  const lease = (ms: number) =>
    on.query({
      text: `UPDATE inlet.schedules SET leased_until = now() + $3 * interval '1 ms'
             WHERE name = $1 AND holder = $2`,
      values: [name, holder, ms],
    });
  const renewal = setInterval(() => void lease(LEASE_MS).catch(onError), LEASE_MS / 3);
  try {
    await run();
  } catch (error) {
    onError(error as Error);
  } finally {
    clearInterval(renewal);
    await lease(0);
  }
}
