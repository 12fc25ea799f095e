/**
 * Mixed load for an hour, or as long as it is told: `npm run test:soak -- --minutes 60 --queue redis`. Memory of each
 * process and the lag until a write is stored are measured all along and must not grow; the checker looks after each period.
 * No part of `npm test`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { check } from '../faults/checker.ts';
import { readEndState, settled } from '../faults/end-state.ts';
import { call } from '../faults/http-client.ts';
import { postgresMib, residentMib } from '../faults/memory.ts';
import { report, runOptions } from '../faults/run-options.ts';
import { Workload } from '../faults/workload.ts';
import type { World } from '../faults/world.ts';
import { startWorld } from '../faults/world.ts';
import { waitFor } from '../support/wait-for.ts';

/** A history is kept in memory for so long, and then checked. */
const PERIOD_MS = 120_000;
const SAMPLE_EVERY_MS = 10_000;

/** Most that memory may grow by from the second quarter to the last: what a garbage collector may do on a whim. */
const GROWTH = 1.25;
const GROWTH_MIB = 24;

interface Sample {
  /** Mebibytes by process. */
  readonly memory: Readonly<Record<string, number>>;
  /** How long a write took until it was stored, in milliseconds; NaN where it was not acknowledged. */
  readonly lagMs: number;
}

const { minutes, seed, queue } = runOptions(process.env);
async function sample({ apis, workers, redis, postgres }: World): Promise<Sample> {
  const members = [...apis, ...workers].map(async ({ name, pid }) => [name, await residentMib(pid)] as const);
  const memory = Object.fromEntries(await Promise.all(members));
  return {
    memory: {
      ...memory,
      ...(redis ? { redis: await residentMib(redis.pid) } : {}),
      postgres: await postgresMib(postgres.pid),
    },
    lagMs: await lagOf(apis[0]?.url ?? ''),
  };
}

async function lagOf(url: string): Promise<number> {
  const complain = (complaint: string): void => {
    throw new Error(complaint);
  };
  const begun = performance.now();
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ data: { id: 'probe', at: begun } });
  const sent = await call(`${url}/v1/data/probe`, { method: 'POST', headers, body }, 202, complain);
  // This process is busy while it checks a period, and its own time for an answer may be over then.
  if (sent.outcome !== 'acknowledged') return Number.NaN;
  await waitFor('the probe to be stored', async () => {
    const { body: told } = await call(
      `${url}/v1/data/probe/requests/${sent.body['requestId']}`,
      {},
      200,
      complain,
    );
    return told['status'] === 'succeeded';
  });
  return performance.now() - begun;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Rounded figures of a stretch of samples; the lag is NaN where no probe was acknowledged. */
function summary(samples: readonly Sample[]) {
  const names = Object.keys(samples[0]?.memory ?? {});
  const mib = names.map((name) => [name, Math.round(mean(samples.map(({ memory }) => memory[name] ?? 0)))]);
  return {
    mib: Object.fromEntries(mib) as Record<string, number>,
    lagMs: Math.round(median(samples.map(({ lagMs }) => lagMs).filter((ms) => !Number.isNaN(ms)))),
  };
}

it(`${minutes} minutes of mixed load: nothing is lost and nothing grows`, {
  timeout: (minutes + 10) * 60_000,
}, async () => {
  const world = await startWorld({ queue });
  onTestFinished(() => world.close());
  const samples: Sample[] = [];
  let stopped = false;
  const sampling = (async () => {
    while (!stopped) {
      samples.push(await sample(world));
      await delay(SAMPLE_EVERY_MS);
    }
  })();
  // Told at once, and not after an hour of load that nobody has measured.
  let failure: unknown;
  sampling.catch((error: unknown) => {
    failure = error;
  });
  let acknowledged = 0;
  /** What was answered to those that were not acknowledged. */
  const others: Record<string, number> = {};
  let objects = 0;
  const end = Date.now() + minutes * 60_000;
  for (let period = 0; Date.now() < end; period += 1) {
    const namespace = `soak-${period}`;
    const urls = () => world.apis.map(({ url }) => url);
    const workload = new Workload({ urls, namespace, seed: seed + period });
    await delay(Math.min(PERIOD_MS, Math.max(1_000, end - Date.now())));
    if (failure !== undefined) throw failure;
    const history = await workload.stop();
    const settleMs = Math.round(await settled(world, history));
    const complaints = [...history.complaints];
    const state = await readEndState(world, namespace, history, complaints);
    complaints.push(...world.complaints());
    expect(check({ ...history, complaints }, state).slice(0, 20), `seed ${seed + period}`).toEqual([]);
    // A machine that others use too may be too slow for a moment, which clients are told.
    for (const { outcome, answer } of history.operations) {
      if (outcome === 'acknowledged') acknowledged += 1;
      else others[answer] = (others[answer] ?? 0) + 1;
    }
    objects += history.operations.reduce((sum, { writes }) => sum + writes.length, 0);
    report(
      `${queue}: ${JSON.stringify({ period, acknowledged, others, objects, settleMs, ...summary(samples.slice(-6)) })}`,
    );
  }
  stopped = true;
  await sampling;
  const quarter = Math.floor(samples.length / 4);
  const first = summary(samples.slice(0, quarter));
  const second = summary(samples.slice(quarter, 2 * quarter));
  const last = summary(samples.slice(-quarter));
  report(`${queue}: ${JSON.stringify({ minutes, acknowledged, others, objects, first, second, last })}`);
  for (const [name, mib] of Object.entries(last.mib)) {
    // Postgres fills its buffers, which are of a fixed size, as its tables grow.
    const allowed =
      name === 'postgres' ? Number.POSITIVE_INFINITY : (second.mib[name] ?? 0) * GROWTH + GROWTH_MIB;
    expect(mib, name).toBeLessThan(allowed);
  }
  expect(last.lagMs).toBeLessThan(2 * second.lagMs + 100);
});
