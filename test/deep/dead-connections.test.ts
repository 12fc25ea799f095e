/** Connections that go dead while the process lives: failover of a frozen Postgres, firewalls that forget, locks. */
import { describe, expect, inject, onTestFinished } from 'vitest';
import type { RunningWorker } from '../../src/roles/worker.ts';
import { startWorker } from '../../src/roles/worker.ts';
import type { QueueConfig } from '../../src/runtime.ts';
import { SteadyClient } from '../../src/store/steady-client.ts';
import { signalPostgres } from '../faults/signal-postgres.ts';
import { freshDatabase, inletTest, startInlet } from '../support/fixtures.ts';
import type { QueueName, TestInlet } from '../support/inlet.ts';
import { prepare, redisUrlOf, testConfig } from '../support/inlet.ts';
import type { KeptLog } from '../support/log.ts';
import { keptLog } from '../support/log.ts';
import type { TestPostgres } from '../support/postgres.ts';
import { query, startPostgres } from '../support/postgres.ts';
import type { TestProxy } from '../support/proxy.ts';
import { startProxy } from '../support/proxy.ts';
import { waitFor } from '../support/wait-for.ts';

/** Within so many milliseconds it is stored again, and told in the log. */
const RESUMED_MS = 10_000;

/** The same with the connections to Redis, of which a worker's may rightly wait for a job for ten seconds. */
const REDIS_RESUMED_MS = 15_000;

const test = inletTest();

interface Watched {
  readonly inlet: TestInlet;
  readonly worker: RunningWorker;
  readonly log: KeptLog;
  /** What an API's and a worker's /readyz say of the store. */
  stores(): Promise<string[]>;
}

/** Starts an API and a worker. */
async function startWatched(config: QueueConfig): Promise<Watched> {
  const log = keptLog();
  const inlet = await startInlet(config, { workers: 0, apiLog: log.log });
  const worker = await startWorker(config, log.log, 0);
  onTestFinished(() => worker.close());
  const url = String(log.lines.find(({ msg }) => msg === 'the worker tells here how it is')?.['url']);
  const store = async (at: string): Promise<string> => {
    const answer = (await (await fetch(`${at}/readyz`)).json()) as { store: string };
    return answer.store;
  };
  return { inlet, worker, log, stores: () => Promise.all([store(inlet.url), store(url)]) };
}

/** The config of an Inlet that reaches its Postgres through a proxy. */
async function throughProxy(
  url: string,
  queue: QueueName,
): Promise<{ proxy: TestProxy; config: QueueConfig }> {
  const databaseUrl = new URL(url);
  const proxy = await startProxy(Number(databaseUrl.port));
  onTestFinished(() => proxy.close());
  databaseUrl.port = `${proxy.port}`;
  return { proxy, config: testConfig({ databaseUrl: databaseUrl.href, redisUrl: redisUrlOf(queue) }) };
}

/** Writes one object after the other, until it is told to stop. */
function writing(inlet: TestInlet): () => Promise<void> {
  let stopped = false;
  const write = async (n: number): Promise<void> => {
    if (stopped) return;
    await inlet.write('dead', `{"data":{"id":"load${n % 10}"}}`).catch(() => undefined);
    await write(n + 1);
  };
  const clients = Promise.all([write(0), write(5)]);
  return async () => {
    stopped = true;
    await clients;
  };
}

/** How long it takes until a write from now on is stored, in milliseconds. */
async function resumed(inlet: TestInlet, databaseUrl: string): Promise<number> {
  const since = performance.now();
  const id = `after${Math.round(since)}`;
  await waitFor('a write to be taken', () => inlet.write('dead', `{"data":{"id":"${id}"}}`), 120_000);
  const sql = `SELECT 1 FROM inlet.objects WHERE id = '${id}'`;
  await waitFor('it to be stored', async () => (await query(databaseUrl, sql)).length === 1, 120_000);
  return performance.now() - since;
}

function told(log: KeptLog, message: RegExp): boolean {
  return log.lines.some((line) => message.test((line['err'] as { message?: string })?.message ?? ''));
}

async function ownPostgres(settings: Record<string, string> = {}): Promise<TestPostgres> {
  const postgres = await startPostgres({ settings });
  onTestFinished(() => postgres.stop());
  return postgres;
}

for (const queue of ['redis', 'postgres'] as const) {
  describe.skipIf(queue === 'redis' && inject('redisUrl') === null)(`queue in ${queue}`, () => {
    test('Postgres freezes, and its address leads to another one', { timeout: 200_000 }, async () => {
      const [frozen, next] = await Promise.all([ownPostgres(), ownPostgres()]);
      const { proxy, config } = await throughProxy(frozen.url, queue);
      const { username, password } = new URL(frozen.url);
      await query(next.url, `ALTER ROLE ${username} PASSWORD '${password}'`);
      const nextUrl = frozen.url.replace(`:${frozen.port}/`, `:${next.port}/`);
      for (const databaseUrl of [frozen.url, nextUrl]) {
        await prepare({ ...config, databaseUrl });
        // As a standby has it.
        await query(databaseUrl, `UPDATE inlet.queue SET id = '${config.queueId}'`);
      }
      const { inlet, log, stores } = await startWatched(config);
      const stop = writing(inlet);
      onTestFinished(stop);
      expect(await resumed(inlet, frozen.url)).toBeLessThan(RESUMED_MS);

      await signalPostgres(frozen.pid, 'SIGSTOP');
      onTestFinished(() => signalPostgres(frozen.pid, 'SIGCONT'));
      const since = performance.now();
      log.lines.length = 0;
      await waitFor('it to be told', () => told(log, /^Postgres does not answer/), 120_000);
      const toldMs = performance.now() - since;
      expect(await stores()).toEqual(['down', 'down']);

      proxy.divert(next.port);
      expect(await resumed(inlet, nextUrl)).toBeLessThan(RESUMED_MS);
      expect(toldMs).toBeLessThan(RESUMED_MS);
      await waitFor('both to say that it is up', async () => `${await stores()}` === 'up,up');
      expect(told(log, /^dropped \d+ dead connections/)).toBe(true);
    });

    test('a firewall forgets the connections', { timeout: 200_000 }, async () => {
      const databaseUrl = await freshDatabase();
      const { proxy, config } = await throughProxy(databaseUrl, queue);
      const { inlet, log, stores } = await startWatched(config);
      const stop = writing(inlet);
      onTestFinished(stop);
      expect(await resumed(inlet, databaseUrl)).toBeLessThan(RESUMED_MS);
      const before = await backendCount(databaseUrl);

      proxy.abandon();
      expect(await resumed(inlet, databaseUrl)).toBeLessThan(RESUMED_MS);
      expect(told(log, /^dropped \d+ dead connections/)).toBe(true);
      await waitFor('both to say that it is up', async () => `${await stores()}` === 'up,up');
      await waitFor('the server to forget them', async () => (await backendCount(databaseUrl)) <= before + 2);
    });
  });
}

async function backendCount(databaseUrl: string): Promise<number> {
  const sql = 'SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database()';
  return Number((await query(databaseUrl, sql))[0]?.['count']);
}

test('readers behind a lock do not take up the connections of Postgres', { timeout: 60_000 }, async ({
  databaseUrl,
  inlet,
}) => {
  const holder = new SteadyClient({ connectionString: databaseUrl });
  await holder.connect();
  onTestFinished(() => holder.end());
  await holder.query('BEGIN; LOCK TABLE inlet.objects');
  const before = await backendCount(databaseUrl);
  let most = 0;
  const end = Date.now() + 15_000;
  const read = async (): Promise<void> => {
    while (Date.now() < end) {
      expect((await inlet.fetch('/v1/data/dead/objects/a')).status).toBe(503);
    }
  };
  const watch = async (): Promise<void> => {
    while (Date.now() < end) most = Math.max(most, await backendCount(databaseUrl));
  };
  await Promise.all([watch(), ...Array.from({ length: 20 }, read)]);
  // As many as the API's pool has, and a worker.
  expect(most).toBeLessThan(before + 15);
  await holder.query('ROLLBACK');
  await waitFor('reads', async () => (await inlet.fetch('/v1/data/dead/objects/a')).status === 404);
});

test.skipIf(inject('redisUrl') === null)(
  'a firewall forgets the connections to Redis',
  { timeout: 120_000 },
  async ({ databaseUrl }) => {
    const redis = new URL(redisUrlOf('redis') ?? '');
    const proxy = await startProxy(Number(redis.port));
    onTestFinished(() => proxy.close());
    redis.port = `${proxy.port}`;
    const { inlet } = await startWatched(testConfig({ databaseUrl, redisUrl: redis.href }));
    for (const load of [() => async () => undefined, writing]) {
      const stop = load(inlet);
      onTestFinished(stop);
      await resumed(inlet, databaseUrl);
      proxy.abandon();
      expect(await resumed(inlet, databaseUrl)).toBeLessThan(REDIS_RESUMED_MS);
    }
  },
);
