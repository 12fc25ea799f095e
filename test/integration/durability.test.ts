/** What becomes of a queue whose server turns out to be weaker than an acknowledgement promises, while Inlet runs. */
import { Redis } from 'ioredis';
import { describe, expect, inject, onTestFinished } from 'vitest';
import type { QueueConfig } from '../../src/runtime.ts';
import { inletTest, startInlet } from '../support/fixtures.ts';
import type { ProblemAnswer, TestInlet } from '../support/inlet.ts';
import { prepare, testConfig } from '../support/inlet.ts';
import { keptLog } from '../support/log.ts';
import { query, startPostgres } from '../support/postgres.ts';
import { startProxy } from '../support/proxy.ts';
import { depthOf, openProvider, whenConnected } from '../support/queues.ts';
import type { TestRedis } from '../support/redis.ts';
import { startRedis } from '../support/redis.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest();

const WEAK = ['--appendfsync', 'everysec'];
/** A replica needn't wait for others that could come. */
const AT_ONCE = ['--repl-diskless-sync-delay', '0'];

/** A Redis for one test. */
async function redisWith(args: string[] = []): Promise<TestRedis> {
  const redis = await startRedis({ args });
  onTestFinished(() => redis.stop());
  return redis;
}

/** An API that is to tell, or to refuse, what is not durable. */
interface Watched {
  readonly inlet: TestInlet;
  /** What it has logged that has this in it. */
  messages(part: string): string[];
  /** Waits until it has logged something like that. */
  said(part: string): Promise<unknown>;
}

async function startWatched(config: QueueConfig): Promise<Watched> {
  const { log, lines } = keptLog();
  const messages = (part: string) => lines.map(({ msg }) => msg).filter((message) => message.includes(part));
  return {
    inlet: await startInlet(config, { workers: 0, apiLog: log }),
    messages,
    said: (part) => waitFor(`the message ${part}`, () => messages(part).length > 0),
  };
}

function startOn(redisUrl: string, databaseUrl: string, requireDurableQueue: boolean): Promise<Watched> {
  return startWatched(testConfig({ databaseUrl, redisUrl }, { requireDurableQueue }));
}

/** A connection to a Redis for one test. */
function connect(url: string): Redis {
  const client = new Redis(url);
  onTestFinished(() => client.disconnect());
  return client;
}

const post = (inlet: TestInlet): Promise<Response> => inlet.post('safe', '{"data":{"id":"o"}}');

/** Writes again and again until a write is refused for the queue's weakness; none may be taken before. */
async function refusedAndNothingTaken(inlet: TestInlet): Promise<void> {
  const statuses = new Set<number>();
  await waitFor('a write to be refused for that', async () => {
    const response = await post(inlet);
    const { detail } = (await response.json()) as ProblemAnswer;
    statuses.add(response.status);
    return detail.includes('INLET_REQUIRE_DURABLE_QUEUE');
  });
  expect([...statuses]).toEqual([503]);
}

async function refused(inlet: TestInlet): Promise<void> {
  await waitFor('a write to be refused', async () => (await post(inlet)).status === 503);
}

async function taken(inlet: TestInlet): Promise<void> {
  await waitFor('a write to be taken', async () => (await post(inlet)).status === 202);
}

async function setRedis(url: string, name: string, value: string): Promise<void> {
  const client = new Redis(url);
  await client.config('SET', name, value);
  await client.quit();
}

describe.skipIf(inject('redisUrl') === null)('on a Redis that must be durable', () => {
  test('restarted with weaker settings: nothing is taken over the new connection until they are mended, reads go on', async ({
    databaseUrl,
  }) => {
    const redis = await redisWith();
    const { inlet, messages } = await startOn(redis.url, databaseUrl, true);
    const stopWorker = await inlet.addWorker();
    await inlet.done('safe', await inlet.write('safe', '{"data":{"id":"stored"}}'));
    await stopWorker();
    const waiting = await inlet.write('safe', '{"data":{"id":"waiting"}}');

    await redis.kill('SIGKILL');
    await Promise.all([redis.start(WEAK), refusedAndNothingTaken(inlet)]);
    const queue = openProvider(inlet.config).openQueue();
    onTestFinished(() => queue.close());
    expect(await whenConnected(() => depthOf(queue))).toBe(1);
    const deletion = await inlet.fetch('/v1/data/safe/objects/stored', { method: 'DELETE' });
    expect(deletion.status).toBe(503);
    expect((await inlet.status('safe', waiting)).status).toBe('queued');
    expect(await inlet.object('safe', 'stored')).toBeDefined();
    const ready = await fetch(`${inlet.url}/readyz`);
    expect(ready.status).toBe(503);
    expect((await fetch(`${inlet.url}/readyz/reads`)).status).toBe(200);
    expect(await ready.json()).toMatchObject({
      status: 'not_ready',
      queue: 'up',
      writes: 'refused',
      warnings: [expect.stringContaining('appendfsync')],
    });
    expect(messages('writes are refused')).toEqual([
      expect.stringMatching(/INLET_REQUIRE_DURABLE_QUEUE.*appendfsync "everysec" instead of "always"/),
    ]);

    await setRedis(redis.url, 'appendfsync', 'always');
    await taken(inlet);
    expect(messages('durable again')).toHaveLength(1);
    await inlet.addWorker();
    expect((await inlet.done('safe', waiting)).status).toBe('succeeded');
  });

  test('restarted with the same settings: goes on, and nothing is said', async ({ databaseUrl }) => {
    const redis = await redisWith();
    const { inlet, messages } = await startOn(redis.url, databaseUrl, true);
    await redis.kill('SIGKILL');
    await refused(inlet);
    await redis.start();
    await taken(inlet);
    expect(messages('durable')).toEqual([]);
  });

  test('set up anew while it runs: writes are refused within seconds, and taken again when that is undone', async ({
    databaseUrl,
  }) => {
    const redis = await redisWith();
    const { inlet, messages, said } = await startOn(redis.url, databaseUrl, true);
    await setRedis(redis.url, 'maxmemory-policy', 'allkeys-lru');
    await said('writes are refused');
    expect((await post(inlet)).status).toBe(503);
    expect(messages('writes are refused')).toEqual([expect.stringContaining('maxmemory-policy')]);
    await setRedis(redis.url, 'maxmemory-policy', 'noeviction');
    await taken(inlet);
  });

  test('replaced by a weaker replica: nothing is taken by that', async ({ databaseUrl }) => {
    const [first, replica] = [await redisWith(AT_ONCE), await redisWith(WEAK)];
    const proxy = await startProxy(first.port);
    onTestFinished(() => proxy.close());
    const { inlet } = await startOn(`redis://127.0.0.1:${proxy.port}`, databaseUrl, true);
    const waiting = await inlet.write('safe', '{"data":{"id":"waiting"}}');

    const client = connect(replica.url);
    await client.replicaof('127.0.0.1', first.port);
    await waitFor('the replica', async () => /master_link_status:up/.test(await client.info('replication')));
    await first.kill('SIGKILL');
    await client.replicaof('NO', 'ONE');
    const size = await client.dbsize();
    proxy.moveTo(replica.port);
    await refusedAndNothingTaken(inlet);
    expect(await client.dbsize()).toBe(size);
    expect((await inlet.status('safe', waiting)).status).toBe('queued');
    await client.config('SET', 'appendfsync', 'always');
    await taken(inlet);
  });
});

test.skipIf(inject('redisUrl') === null)(
  'a Redis with a replica, which may take its place too early, is a weakness by name until it has none',
  async ({ databaseUrl }) => {
    const [first, replica] = [await redisWith(AT_ONCE), await redisWith()];
    const { inlet, said } = await startOn(first.url, databaseUrl, true);
    await taken(inlet);
    const client = connect(replica.url);
    await client.replicaof('127.0.0.1', first.port);
    await said('Redis has replicas (1)');
    await refusedAndNothingTaken(inlet);
    await client.replicaof('NO', 'ONE');
    await taken(inlet);
  },
);

describe.skipIf(inject('redisUrl') === null)('on a Redis that need not be durable', () => {
  test('weaknesses are named in the log when they come and when they go, not on every reconnect', async ({
    databaseUrl,
  }) => {
    const redis = await redisWith();
    const { inlet, messages, said } = await startOn(redis.url, databaseUrl, false);
    expect(messages('acknowledged writes could be lost')).toEqual([]);
    for (let restart = 0; restart < 2; restart += 1) {
      await redis.kill('SIGKILL');
      await refused(inlet);
      await redis.start(WEAK);
      await taken(inlet);
      await said('acknowledged writes could be lost');
    }
    // The watch looks again every second now.
    await setRedis(redis.url, 'appendonly', 'no');
    await said('appendonly');
    expect(messages('acknowledged writes could be lost')).toEqual([
      expect.stringContaining('appendfsync'),
      expect.stringContaining('appendonly'),
      expect.stringContaining('appendfsync'),
    ]);
    await redis.kill('SIGKILL');
    await refused(inlet);
    await redis.start();
    await taken(inlet);
    await said('durable again');
  });

  test('those that it had from the start are named once', async ({ databaseUrl }) => {
    const redis = await redisWith(WEAK);
    const { inlet, messages, said } = await startOn(redis.url, databaseUrl, false);
    await redis.kill('SIGKILL');
    await refused(inlet);
    await redis.start(WEAK);
    await taken(inlet);
    await setRedis(redis.url, 'appendfsync', 'always');
    await said('durable again');
    expect(messages('acknowledged writes could be lost')).toHaveLength(1);
  });
});

test('on a Postgres queue that must be durable: refused when it commits without the disk, and taken again', async () => {
  const postgres = await startPostgres({ fsync: true });
  onTestFinished(() => postgres.stop());
  const config = testConfig({ databaseUrl: postgres.url }, { requireDurableQueue: true });
  const { inlet, messages, said } = await startWatched(await prepare(config));
  await taken(inlet);
  const set = async (value: string): Promise<void> => {
    await query(postgres.url, `ALTER DATABASE postgres SET synchronous_commit = ${value}`);
    // It holds for new connections.
    await query(
      postgres.url,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid()",
    );
  };
  await set('off');
  await said('writes are refused');
  expect((await post(inlet)).status).toBe(503);
  expect(messages('writes are refused')).toEqual([
    expect.stringContaining('Postgres has synchronous_commit off'),
  ]);
  await set('on');
  await taken(inlet);
});
