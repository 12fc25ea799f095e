/** One measurement: loads the API with wrk, waits until all is stored, and checks that it is. */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { runCommand } from './children.ts';
import { cpuSeconds } from './cpu.ts';
import type { Deployment } from './services.ts';

/** This file runs from bench/dist/bench. */
const SCRIPT = fileURLToPath(new URL('../../post.lua', import.meta.url));

/** How often the rows are counted once the load has ended, in milliseconds: the resolution of the stored rate. */
const POLL_MS = 100;

/** Nothing being stored for this long means that the rest never will be. */
const STUCK_MS = 30_000;

/** What the load looks like. */
export interface Shape {
  readonly name: string;
  readonly connections: number;
  /** Objects in a list; 0 for one object without a list. */
  readonly listLength: number;
}

/** Rates are objects per second. */
export interface Result {
  readonly shape: string;
  /** Answered with 202, over the time of the load. */
  readonly acceptedPerSecond: number;
  /** From the first request until the last row was seen. */
  readonly storedPerSecond: number;
  readonly accepted: number;
  readonly stored: number;
  /** Answers other than 202, and connections that broke. */
  readonly refused: number;
  readonly broken: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** CPU time of each process for one stored object, in microseconds; empty without /proc. */
  readonly cpuMicrosPerObject: Readonly<Record<string, number>>;
}

interface WrkResult {
  readonly seconds: number;
  readonly answered: number;
  readonly refused: number;
  readonly broken: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/**
 * Measures one shape on empty tables, after a warm-up.
 * @throws Error where something that was accepted is not stored
 */
export async function measure(
  deployment: Deployment,
  shape: Shape,
  times: { warmUpSeconds: number; seconds: number },
): Promise<Result> {
  const pool = new pg.Pool({ connectionString: deployment.databaseUrl, max: 1 });
  try {
    if (times.warmUpSeconds > 0) {
      const warmUp = await load(deployment, shape, times.warmUpSeconds);
      await drained(pool, accepted(warmUp, shape));
    }
    await pool.query('TRUNCATE inlet.objects, inlet.requests');
    await pool.query('CHECKPOINT');

    const cpuBefore = cpuOf(deployment);
    const started = performance.now();
    const wrk = await load(deployment, shape, times.seconds);
    const { stored, at } = await drained(pool, accepted(wrk, shape));
    const cpuAfter = cpuOf(deployment);
    check(shape, accepted(wrk, shape), stored);
    const { refused, broken, p50Ms, p99Ms, maxMs } = wrk;
    return {
      shape: shape.name,
      acceptedPerSecond: accepted(wrk, shape) / wrk.seconds,
      storedPerSecond: stored / ((at - started) / 1_000),
      accepted: accepted(wrk, shape),
      stored,
      ...{ refused, broken, p50Ms, p99Ms, maxMs },
      cpuMicrosPerObject: perObject(cpuBefore, cpuAfter, stored),
    };
  } finally {
    await pool.end();
  }
}

/** wrk counts what is above 399 as refused. Anything else that is not a 202 shows as not stored. */
function accepted(wrk: WrkResult, { listLength }: Shape): number {
  return (wrk.answered - wrk.refused) * Math.max(1, listLength);
}

/**
 * wrk hangs up at the end of its time: of what is on its way on each connection then, it sees no answer, and
 * it is stored all the same. So there may be more rows than were counted as accepted, but never fewer.
 */
function check({ name, connections, listLength }: Shape, counted: number, stored: number): void {
  const most = counted + connections * Math.max(1, listLength);
  if (counted > 0 && stored >= counted && stored <= most) return;
  throw new Error(
    `${name}: ${counted} objects were accepted and ${stored} are stored; ${counted} to ${most} would be right`,
  );
}

async function load({ apiUrl, apiKey }: Deployment, shape: Shape, seconds: number): Promise<WrkResult> {
  const output = await runCommand({
    command: 'wrk',
    args: [
      ...['--threads', '1', '--connections', String(shape.connections), '--duration', `${seconds}s`],
      ...['--timeout', '10s', '--script', SCRIPT, `${apiUrl}/v1/data/bench`],
      ...['--', String(shape.listLength), apiKey],
    ],
  });
  const line = /^RESULT (.*)$/m.exec(output)?.[1];
  if (line === undefined) throw new Error(`wrk told no result:\n${output}`);
  return JSON.parse(line) as WrkResult;
}

/**
 * Waits until at least `expected` rows are there and no more come.
 * @returns the rows, and when the count that first saw them all began (a little late rather than early)
 */
async function drained(pool: pg.Pool, expected: number): Promise<{ stored: number; at: number }> {
  let last = { stored: -1, at: performance.now() };
  for (;;) {
    const at = performance.now();
    const { rows } = await pool.query<{ stored: string }>('SELECT count(*) AS stored FROM inlet.objects');
    const stored = Number(rows[0]?.stored);
    if (stored !== last.stored) last = { stored, at };
    else if (stored >= expected && at - last.at > 1_000) return last;
    else if (at - last.at > STUCK_MS) return last;
    await delay(POLL_MS);
  }
}

function cpuOf({ pids }: Deployment): Map<string, number> {
  return new Map(Object.entries(pids).map(([name, pid]) => [name, cpuSeconds(pid) ?? Number.NaN]));
}

function perObject(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  objects: number,
): Record<string, number> {
  const entries = [...after].map(([name, seconds]): [string, number] => [
    name,
    ((seconds - (before.get(name) ?? Number.NaN)) * 1e6) / objects,
  ]);
  return Object.fromEntries(entries.filter(([, micros]) => !Number.isNaN(micros)));
}
