/**
 * A load that comes at a rate, whatever the server does: single objects at random times (a Poisson process on a grid
 * of a millisecond, which is what Node's timers can keep).
 *
 * A request that finds no free connection waits in line, and all of that counts: its time runs from when it was due,
 * not from when it was sent. So a server that stands still for a second shows in the times of all requests of that
 * second (no coordinated omission).
 */
import { writeFile } from 'node:fs/promises';
import type { Writes } from '../objects.ts';
import { objectText } from '../objects.ts';
import { quantile } from '../statistics.ts';
import { Connection } from './connection.ts';
import { printResult, programOptions } from './program.ts';

export interface PacedOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly connections: number;
  /** Requests per second. */
  readonly rate: number;
  readonly seconds: number;
  readonly writes: Writes;
  /** Gets the time of each answer as doubles, milliseconds since 1970; NaN where it was no 202. */
  readonly answersFile: string;
}

export interface PacedResult {
  readonly sent: number;
  readonly accepted: number;
  readonly seconds: number;
  /** From when a request was due to its answer. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** From when a request was due until it was sent: what this program itself, and the lack of connections, add. */
  readonly lagP50Ms: number;
  readonly lagP99Ms: number;
}

const options = programOptions<PacedOptions>();
const { rate, seconds, writes } = options;
const free = await Promise.all(
  Array.from({ length: options.connections }, () => Connection.open(options.url, options.apiKey)),
);
const all = [...free];

/** More than will come: a Poisson process of that size hardly ever exceeds its mean by six deviations. */
const capacity = Math.ceil(rate * seconds + 6 * Math.sqrt(rate * seconds)) + 10;
const due = new Float64Array(capacity);
const sent = new Float64Array(capacity).fill(Number.NaN);
const answered = new Float64Array(capacity).fill(Number.NaN);
let arrived = 0;
let next = 0;
let open = 0;
let accepted = 0;
let finish: () => void;
const finished = new Promise<void>((resolve) => {
  finish = resolve;
});

const started = performance.now();
let grid = started;
let isOver = false;
tick();
await finished;
const over = performance.now();
for (const connection of all) connection.close();

await writeFile(options.answersFile, Buffer.from(absolute(answered.subarray(0, arrived)).buffer));
const times = difference(answered);
const lags = difference(sent);
printResult({
  ...{ sent: arrived, accepted, seconds: (over - started) / 1_000 },
  ...{ p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99) },
  ...{ lagP50Ms: quantile(lags, 0.5), lagP99Ms: quantile(lags, 0.99) },
} satisfies PacedResult);

/** Lets arrive what was due until now, and sleeps until the next point of the grid. */
function tick(): void {
  const now = performance.now();
  for (; grid <= now && grid < started + seconds * 1_000; grid += 1) {
    for (let n = poisson(rate / 1_000); n > 0 && arrived < capacity; n -= 1) {
      due[arrived] = grid;
      arrived += 1;
    }
  }
  isOver = grid >= started + seconds * 1_000;
  send();
  if (!isOver) setTimeout(tick, grid - performance.now());
}

function send(): void {
  while (next < arrived) {
    const connection = free.pop();
    if (!connection) return;
    const request = next;
    next += 1;
    open += 1;
    sent[request] = performance.now();
    const body = `{"data":${objectText(writes.kind, writes.firstKey + request, writes.firstN + request)}}`;
    connection.post(body, (status) => {
      open -= 1;
      if (status === 202) {
        answered[request] = performance.now();
        accepted += 1;
      }
      // A broken one is not used again; without any the rest stays unsent, and is missed.
      if (status !== 0) free.push(connection);
      send();
    });
  }
  if (isOver && open === 0) finish();
}

/** A number of arrivals (Knuth's way, which is for small means). */
function poisson(mean: number): number {
  const limit = Math.exp(-mean);
  let count = 0;
  for (let product = Math.random(); product > limit; product *= Math.random()) count += 1;
  return count;
}

function difference(times: Float64Array): Float64Array {
  return times
    .subarray(0, arrived)
    .map((time, i) => time - (due[i] ?? Number.NaN))
    .filter((time) => !Number.isNaN(time))
    .sort();
}

function absolute(times: Float64Array): Float64Array {
  return times.map((time) => time + performance.timeOrigin);
}
