/**
 * What webhooks cost: 10,000 objects without an endpoint, with one whose events are written and hardly sent, and with one that
 * is sent all of them; in interleaved rounds, on the services and with the load of the bench.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { runWrk } from './load/wrk.ts';
import { startPostgres } from './machine/postgres.ts';
import { startRedis } from './machine/redis.ts';
import { FIRST_N, N_STEP } from './objects.ts';
import { median, spread } from './statistics.ts';
import { startInlet } from './systems/inlet.ts';
import { API_KEY, serverProgram, startNode, stopAll } from './systems/system.ts';

const OBJECTS = 10_000;
const ROUNDS = Number(process.argv[2] ?? 5);

const SHAPES = [
  { title: 'singles, 64 connections', connections: 64, listLength: 0 },
  { title: 'lists of 100, 16 connections', connections: 16, listLength: 100 },
] as const;

/** How many events a second the endpoint takes; undefined: no endpoint, 0: as many as come. */
const ENDPOINTS = { none: undefined, written: 1, delivered: 0 } as const;
type Endpoint = keyof typeof ENDPOINTS;

interface Figures {
  readonly storedPerSecond: number;
  /** From the first request to the last webhook. */
  readonly deliveredPerSecond: number | undefined;
}

const steps: (() => Promise<unknown>)[] = [];
try {
  await main();
} finally {
  await stopAll(steps);
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'inlet-bench-'));
  steps.push(() => rm(folder, { recursive: true, force: true }));
  const postgres = await startPostgres(folder);
  steps.push(() => postgres.stop());
  const redis = await startRedis(folder);
  steps.push(() => redis.stop());
  const machine = { folder, postgres, redis, profileDir: undefined, logLevel: 'info' };
  const receiver = await startNode(machine, 'receiver', [serverProgram('receiver')], {});
  steps.push(() => receiver.child.stop());
  const inlet = await startInlet(machine, 'a', {
    INLET_WEBHOOK_ALLOW_HTTP: 'true',
    INLET_WEBHOOK_ALLOW_NETWORKS: '127.0.0.1',
  });
  steps.push(() => inlet.stop());
  const { url = '', store } = inlet;
  if (!store) throw new Error('Inlet has a store');
  const pool = new pg.Pool({ connectionString: store.url, max: 1 });
  steps.push(() => pool.end());

  const figures = new Map<string, Figures[]>();
  let writes = 0;
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const shape of SHAPES) {
      for (const endpoint of Object.keys(ENDPOINTS) as Endpoint[]) {
        await store.prepare('empty', { kind: 'profile', rows: 0 });
        await pool.query('TRUNCATE inlet.webhook_endpoints, inlet.webhook_deliveries');
        await createEndpoint(url, receiver.url, ENDPOINTS[endpoint]);
        await redis.settle();
        const takenBefore = await taken(receiver.url);
        const firstN = FIRST_N + writes * N_STEP;
        writes += 1;
        const startedAt = Date.now();
        const wrk = await runWrk({
          ...{ url, apiKey: API_KEY, connections: shape.connections, listLength: shape.listLength, folder },
          ...{ seconds: 60, writes: { kind: 'profile', firstKey: 0, firstN } },
          mostRequests: OBJECTS / Math.max(1, shape.listLength),
        });
        if (wrk.refused + wrk.broken > 0) throw new Error('something was refused');
        // wrk may end one request early, and hang up before it sees its last answers.
        const accepted = wrk.answered * Math.max(1, shape.listLength);
        const deliveredAt =
          endpoint === 'delivered' ? await whenTaken(receiver.url, takenBefore + accepted) : undefined;
        const found = await store.drained(firstN, startedAt, accepted);
        const rate = (until: number): number => accepted / ((until - startedAt) / 1_000);
        const measured = {
          storedPerSecond: rate(found.lastCommitMs),
          deliveredPerSecond: deliveredAt === undefined ? undefined : rate(deliveredAt),
        };
        // The first round is for warming up.
        const key = `${shape.title}, ${endpoint}`;
        if (round > 0) figures.set(key, [...(figures.get(key) ?? []), measured]);
      }
    }
  }
  for (const shape of SHAPES) printShape(shape.title, figures);
}

function printShape(title: string, figures: ReadonlyMap<string, readonly Figures[]>): void {
  const of = (endpoint: Endpoint): readonly Figures[] => figures.get(`${title}, ${endpoint}`) ?? [];
  const stored = (endpoint: Endpoint): readonly number[] =>
    of(endpoint).map(({ storedPerSecond }) => storedPerSecond);
  process.stdout.write(`\n${title}\n`);
  for (const endpoint of Object.keys(ENDPOINTS) as Endpoint[]) {
    const ratio = spread(stored(endpoint).map((rate, i) => rate / (stored('none')[i] ?? Number.NaN)));
    const delivered = of(endpoint).flatMap(({ deliveredPerSecond: rate }) =>
      rate === undefined ? [] : [rate],
    );
    process.stdout.write(
      `  ${endpoint.padEnd(10)} stored/s ${median(stored(endpoint)).toFixed(0).padStart(7)}` +
        `   of none ${ratio?.median.toFixed(2)} (${ratio?.min.toFixed(2)} to ${ratio?.max.toFixed(2)})` +
        `${delivered.length > 0 ? `   delivered/s ${median(delivered).toFixed(0)}` : ''}\n`,
    );
  }
}

async function createEndpoint(api: string, url: string, rate: number | undefined): Promise<void> {
  if (rate === undefined) return;
  const response = await fetch(`${api}/v1/webhooks/endpoints`, {
    method: 'POST',
    headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ url: `${url}/`, ...(rate > 0 ? { rate } : {}) }),
  });
  if (response.status !== 201) throw new Error(`no endpoint: ${response.status} ${await response.text()}`);
}

async function taken(receiver: string): Promise<number> {
  return Number(await (await fetch(`${receiver}/count`)).text());
}

/** Waits until the receiver has taken so many. @returns when it was first seen */
async function whenTaken(receiver: string, count: number): Promise<number> {
  while ((await taken(receiver)) < count) await delay(20);
  return Date.now();
}
