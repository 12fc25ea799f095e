/**
 * The memory that a process takes up at most, as the README states it: 100 bodies of 10 MiB at the same time, of the
 * kinds that take the most, in several rounds, on the default settings.
 */
import { existsSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { afterAll, expect, onTestFinished } from 'vitest';
import type { RuntimeConfig } from '../../src/runtime.ts';
import { describeOnBothQueues, freshDatabase } from '../support/fixtures.ts';
import { KEY } from '../support/inlet.ts';
import { query } from '../support/postgres.ts';
import { InletProcess } from '../support/process.ts';
import { waitFor } from '../support/wait-for.ts';

const MIB = 1024 * 1024;
const BODY_BYTES = 10 * MIB;
const AT_ONCE = 100;
const ROUNDS = 2;

/** What the README says, in MiB. */
const [apiBound, serveBound] = statedBounds();

function statedBounds(): [number, number] {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8').replace(/\s+/g, ' ');
  const stated =
    /API stays below (\d+) MiB of memory, and `inlet serve`, with the worker in it, below (\d+) MiB/;
  const found = stated.exec(readme);
  if (!found) throw new Error('the README does not state how much memory it takes');
  return [Number(found[1]), Number(found[2])];
}

interface Kind {
  readonly name: string;
  readonly headers?: Record<string, string>;
  /** The body before its id and after it. */
  readonly body: readonly [string, Buffer];
}

/** A body as large as it may be, made of `unit`. */
function filled(open: string, unit: string, separator: string, close: string): readonly [string, Buffer] {
  const before = '{"data":{"id":"';
  const room = BODY_BYTES - Buffer.byteLength(`${before}0123456789","v":${open}${close}}}`);
  const count = Math.floor(room / Buffer.byteLength(unit + separator));
  const text = `","v":${open}${Array(count).fill(unit).join(separator)}${close}}}`;
  return [before, Buffer.from(text)];
}

const KINDS: readonly Kind[] = [
  // One character beyond Latin-1 makes V8 use two bytes for every one.
  { name: 'a string of wide characters', body: filled('"漢', 'x', '', '"') },
  // Every quote takes a backslash in the queue.
  { name: 'what has to be escaped', body: filled('"漢', '\\"', '', '"') },
  // What JSON.parse would make of it takes 24 times as much.
  { name: 'a list of empty objects', body: filled('["漢",', '{}', ',', ']') },
];

/** Bodies whose ids are inside what is compressed have the same id in all. */
const COMPRESSED: readonly Kind[] = [
  {
    name: 'gzip',
    headers: { 'content-encoding': 'gzip' },
    body: ['', gzipSync(Buffer.concat([Buffer.from('{"data":{"id":"gzip'), filled('"漢', 'x', '', '"')[1]]))],
  },
  {
    name: 'brotli',
    headers: { 'content-encoding': 'br' },
    body: [
      '',
      brotliCompressSync(Buffer.concat([Buffer.from('{"data":{"id":"br'), filled('"漢', 'xy', '', '"')[1]]), {
        params: { [constants.BROTLI_PARAM_QUALITY]: 3 },
      }),
    ],
  },
  // A gigabyte each.
  { name: 'a bomb', headers: { 'content-encoding': 'gzip' }, body: ['', gzipSync(Buffer.alloc(1024 * MIB))] },
];

const agent = new Agent({ keepAlive: true });

afterAll(() => agent.destroy());

interface Answer {
  readonly status: number | undefined;
  readonly retryAfter: string | undefined;
}

function post(url: string, { headers = {}, body: [before, after] }: Kind, id: string): Promise<Answer> {
  const start = Buffer.from(before === '' ? '' : before + id);
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/v1/data/memory`, {
      agent,
      method: 'POST',
      headers: {
        authorization: `Bearer ${KEY}`,
        'content-type': 'application/json',
        'content-length': start.length + after.length,
        ...headers,
      },
    });
    sent.on('response', (response) => {
      response.resume();
      response.on('end', () =>
        resolve({ status: response.statusCode, retryAfter: response.headers['retry-after'] }),
      );
    });
    sent.on('error', reject);
    sent.write(start);
    sent.end(after);
  });
}

/** The most memory that a process has ever taken up, in MiB. */
function peakMemory(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}

/** Sends all kinds in rounds. @returns the ids that were accepted */
async function storm(url: string): Promise<Set<string>> {
  const accepted = new Set<string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [k, kind] of [...KINDS, ...COMPRESSED].entries()) {
      const ids = Array.from({ length: AT_ONCE }, (_, i) => String(round * 10_000 + k * 1_000 + i));
      const answers = await Promise.all(ids.map((id) => post(url, kind, id)));
      for (const [i, { status, retryAfter }] of answers.entries()) {
        const what = `${kind.name}, round ${round}`;
        if (kind.name === 'a bomb') expect([413, 503], what).toContain(status);
        else expect([202, 503], what).toContain(status);
        if (status === 503) expect(retryAfter, what).toBe('1');
        if (status === 202 && kind.body[0] !== '') accepted.add(ids[i] ?? '');
      }
      if (kind.name !== 'a bomb') {
        expect(
          answers.some(({ status }) => status === 202),
          `some ${kind.name} are taken`,
        ).toBe(true);
      }
    }
  }
  return accepted;
}

async function storedIds(databaseUrl: string): Promise<Set<string>> {
  const rows = await query(databaseUrl, `SELECT id FROM inlet.objects WHERE namespace = 'memory'`);
  return new Set(rows.map(({ id }) => String(id)));
}

// Only Linux tells how much memory a process has taken up at most.
const canMeasure = existsSync('/proc/self/status');
if (!canMeasure)
  process.stderr.write(
    '\n!!! No /proc here: the memory of processes is NOT MEASURED, the tests are skipped.\n\n',
  );

interface Running {
  /** The process that takes in the bodies. */
  readonly api: InletProcess;
  readonly databaseUrl: string;
}

/** Starts processes on a database of their own; the last one is that with the API. */
async function start({ redisUrl, redisPrefix }: RuntimeConfig, ...roles: string[]): Promise<Running> {
  const databaseUrl = await freshDatabase();
  const settings = {
    ...{ DATABASE_URL: databaseUrl, INLET_API_KEYS: KEY, PORT: '0', INLET_WORKER_PORT: '0' },
    ...(redisUrl ? { REDIS_URL: redisUrl, INLET_REDIS_PREFIX: redisPrefix } : {}),
  };
  const started = roles.map((role) => new InletProcess([role], settings));
  for (const one of started) onTestFinished(() => one.close());
  return { api: started.at(-1) as InletProcess, databaseUrl };
}

async function withstands({ api, databaseUrl }: Running, bound: number): Promise<void> {
  const accepted = await storm(await api.apiUrl());
  const peak = peakMemory(api.pid);
  process.stdout.write(`${Math.round(peak)} MiB at most, and ${bound} MiB are stated\n`);
  expect(peak).toBeGreaterThan(BODY_BYTES / MIB);
  expect(peak).toBeLessThan(bound);
  await waitFor(
    'all that was accepted to be stored',
    async () => {
      const stored = await storedIds(databaseUrl);
      return [...accepted].every((id) => stored.has(id));
    },
    120_000,
  );
}

const TIMEOUT_MS = 600_000;

describeOnBothQueues(`${AT_ONCE} bodies of 10 MiB at the same time`, (test, queue) => {
  test.runIf(canMeasure)(
    'leave the API below the memory that is stated',
    async ({ config }) => withstands(await start(config, 'worker', 'api'), apiBound),
    TIMEOUT_MS,
  );

  test.runIf(canMeasure && queue === 'postgres')(
    'leave a process with a worker in it below the memory that is stated',
    async ({ config }) => withstands(await start(config, 'serve'), serveBound),
    TIMEOUT_MS,
  );
});
