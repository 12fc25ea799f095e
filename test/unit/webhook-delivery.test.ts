/** The parts of delivering that need neither receivers nor Postgres. */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../src/store/faults.ts';
import { conclude } from '../../src/webhooks/conclude.ts';
import { GentleStart } from '../../src/webhooks/gentle-start.ts';
import { endpointChanges } from '../../src/webhooks/keep-outcomes.ts';
import type { Outcome } from '../../src/webhooks/outcome-writer.ts';
import { OutcomeWriter } from '../../src/webhooks/outcome-writer.ts';
import { Pace } from '../../src/webhooks/pace.ts';
import { keptLog } from '../support/log.ts';

const BEGUN = Date.parse('2026-11-24T12:00:00Z');

/** What follows from an attempt that began so many seconds after the first. */
function outcome(
  status: number,
  { endpointId = 'ep_1', tries = 0, pauseMs = 0, second = 0, mayBeFailing = true } = {},
): Outcome {
  const kind = status < 300 ? 'succeeded' : status === 410 ? 'gone' : 'rejected';
  const attempt = { outcome: kind, statusCode: status, response: '', error: null, pauseMs } as const;
  const begun = BEGUN + second * 1_000;
  const made = { endpointId, webhookId: `msg_${second}`, tries, attempt, begun, durationMs: 7 };
  return conclude(made, [1_000, 2_000], mayBeFailing);
}

describe('what follows from an attempt', () => {
  it('is a further one after each failure, until there are none left', () => {
    expect(outcome(500).delivery).toMatchObject({ status: 'pending', tries: 0 });
    const delays = [0, 1].map((tries) => outcome(500, { tries }).delivery.retryMs);
    expect(delays[0]).toBeGreaterThanOrEqual(900);
    expect(delays[0]).toBeLessThanOrEqual(1_100);
    expect(delays[1]).toBeGreaterThanOrEqual(1_800);
    expect(outcome(500, { tries: 2 }).delivery.status).toBe('failed');
    expect(outcome(200, { tries: 2 }).delivery.status).toBe('succeeded');
  });

  it('is none before the time that the receiver has asked for', () => {
    expect(outcome(500, { pauseMs: 60_000 }).delivery.retryMs).toBe(60_000);
  });

  it('changes an endpoint only where there may be something to change', () => {
    expect(endpointChanges([outcome(200, { mayBeFailing: false })])).toEqual([]);
    expect(endpointChanges([outcome(500, { mayBeFailing: false })])).toHaveLength(1);
  });

  it('is told of each endpoint in the order in which attempts have ended', () => {
    const of = (...statuses: number[]) =>
      endpointChanges(statuses.map((status, second) => outcome(status, { second })))[0];
    expect(of(500, 500)).toMatchObject({ recovered: false, failing: true });
    expect(of(500, 200)).toMatchObject({ recovered: true, failing: false });
    expect(of(200, 500, 500)).toMatchObject({ recovered: true, failing: true });
    expect(of(500, 410)).toMatchObject({ gone: true });
    expect(endpointChanges([outcome(500), outcome(500, { endpointId: 'ep_2' })])).toHaveLength(2);
  });
});

describe('outcomes', () => {
  const data = Object.assign(new pg.DatabaseError('no', 1, 'error'), { code: '22P05' });

  it('that come while others are being kept are kept together', async () => {
    const groups: number[] = [];
    const keep = async (outcomes: readonly Outcome[]): Promise<void> => {
      groups.push(outcomes.length);
      await delay(10);
    };
    const writer = new OutcomeWriter(keep, keptLog().log, new AbortController().signal);
    await Promise.all(Array.from({ length: 20 }, () => writer.write(outcome(200))));
    expect(groups).toEqual([1, 19]);
  });

  it('are kept when Postgres is back', async () => {
    let calls = 0;
    const keep = async (): Promise<void> => {
      calls += 1;
      if (calls < 3) throw new StoreUnavailableError('away');
    };
    await new OutcomeWriter(keep, keptLog().log, new AbortController().signal).write(outcome(200));
    expect(calls).toBe(3);
  });

  it('are not waited with when the process stops', async () => {
    const stopping = new AbortController();
    const keep = async (): Promise<void> => {
      throw new StoreUnavailableError('away');
    };
    const written = new OutcomeWriter(keep, keptLog().log, stopping.signal).write(outcome(200));
    stopping.abort();
    await expect(written).rejects.toThrow('away');
  });

  it('that Postgres refuses keep no others from being kept', async () => {
    const bad = outcome(500, { second: 3 });
    const kept: Outcome[] = [];
    const keep = async (outcomes: readonly Outcome[]): Promise<void> => {
      if (outcomes.includes(bad)) throw data;
      kept.push(...outcomes);
    };
    const writer = new OutcomeWriter(keep, keptLog().log, new AbortController().signal);
    const good = [outcome(200), outcome(200), outcome(200)];
    const [first, second, third] = good as [Outcome, Outcome, Outcome];
    const results = await Promise.allSettled([first, second, bad, third].map((one) => writer.write(one)));
    expect(results.map(({ status }) => status)).toEqual([
      ...['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
    ]);
    expect(kept).toEqual(good);
  });
});

it('attempts are begun one in each turn of the event loop, in their order', async () => {
  const start = new GentleStart();
  const begun: string[] = [];
  for (const name of ['a', 'b', 'c']) void start.turn().then(() => begun.push(name));
  const turns: number[] = [];
  for (let i = 0; i < 4; i += 1) {
    turns.push(begun.length);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(turns).toEqual([0, 1, 2, 3]);
  expect(begun).toEqual(['a', 'b', 'c']);
  // And again after there were none.
  await start.turn();
});

describe('the pace', () => {
  it('leaves the time between two turns that the rate says', () => {
    const pace = new Pace();
    expect(pace.waitMs(1_000)).toBe(0);
    pace.take(10, 1_000);
    expect(pace.waitMs(1_000)).toBe(100);
    // A turn that is taken late doesn't put off the next.
    pace.take(10, 1_105);
    expect(pace.waitMs(1_105)).toBe(95);
  });

  it('makes nothing up for a long time without any', () => {
    const pace = new Pace();
    pace.take(10, 0);
    pace.take(10, 60_000);
    expect(pace.waitMs(60_000)).toBe(100);
  });

  it('is none without a rate', () => {
    const pace = new Pace();
    for (let i = 0; i < 100; i += 1) pace.take(undefined, 5);
    expect(pace.waitMs(5)).toBe(0);
  });
});
