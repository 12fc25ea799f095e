/** What becomes of a queue whose server turns out to be weaker than an acknowledgement promises, while Inlet runs. */
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import type { RuntimeConfig } from '../../src/runtime.ts';
import type { ProblemAnswer } from '../support/inlet.ts';
import { eventually, prepare, TestInlet, testConfig } from '../support/inlet.ts';
import { keptLog } from '../support/log.ts';
import { createTestDatabase, query, startPostgres } from '../support/postgres.ts';
import { startProxy } from '../support/proxy.ts';
import { depthOf, openProvider, whenConnected } from '../support/queues.ts';
import type { TestRedis } from '../support/redis.ts';
import { startRedis } from '../support/redis.ts';

const WEAK = ['--appendfsync', 'everysec'];

let closers: (() => Promise<unknown>)[];
const { log: apiLog, lines: logged } = keptLog();

beforeEach(() => {
  closers = [];
  logged.length = 0;
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

async function redisWith(args: string[] = []): Promise<TestRedis> {
  const redis = await startRedis({ args });
  closers.push(() => redis.stop());
  return redis;
}

async function startOn(
  redisUrl: string,
  requireDurableQueue: boolean,
  { workers = 0 } = {},
): Promise<TestInlet> {
  const database = await createTestDatabase();
  closers.push(() => database.drop());
  return startInlet(testConfig({ databaseUrl: database.url, redisUrl }, { requireDurableQueue }), workers);
}

async function startInlet(config: RuntimeConfig, workers: number): Promise<TestInlet> {
  const inlet = await TestInlet.start(config, { workers, apiLog });
  closers.push(() => inlet.close());
  return inlet;
}

const post = (inlet: TestInlet): Promise<Response> => inlet.post('safe', '{"data":{"id":"o"}}');

/** Writes again and again until a write is refused for the queue's weakness; none may be taken before. */
async function refusedAndNothingTaken(inlet: TestInlet): Promise<void> {
  await eventually(async () => {
    const response = await post(inlet);
    const { detail } = (await response.json()) as ProblemAnswer;
    expect(response.status).toBe(503);
    return detail.includes('INLET_REQUIRE_DURABLE_QUEUE') || undefined;
  });
}

async function refused(inlet: TestInlet): Promise<void> {
  await eventually(async () => ((await post(inlet)).status === 503 ? true : undefined));
}

async function taken(inlet: TestInlet): Promise<void> {
  await eventually(async () => ((await post(inlet)).status === 202 ? true : undefined));
}

async function setRedis(url: string, name: string, value: string): Promise<void> {
  const client = new Redis(url);
  await client.config('SET', name, value);
  await client.quit();
}

const messages = (part: string): string[] =>
  logged.map(({ msg }) => msg).filter((message) => message.includes(part));

describe.skipIf(inject('redisUrl') === null)('on a Redis that must be durable', () => {
  it('restarted with weaker settings: nothing is taken over the new connection until they are mended, reads go on', async () => {
    const redis = await redisWith();
    const inlet = await startOn(redis.url, true);
    const stopWorker = await inlet.addWorker();
    await inlet.done('safe', await inlet.write('safe', '{"data":{"id":"stored"}}'));
    await stopWorker();
    const waiting = await inlet.write('safe', '{"data":{"id":"waiting"}}');

    await redis.kill('SIGKILL');
    await Promise.all([redis.start(WEAK), refusedAndNothingTaken(inlet)]);
    const queue = openProvider(inlet.config).openQueue();
    closers.push(() => queue.close());
    expect(await whenConnected(() => depthOf(queue))).toBe(1);
    const deletion = await inlet.fetch('/v1/data/safe/objects/stored', { method: 'DELETE' });
    expect(deletion.status).toBe(503);
    expect((await inlet.status('safe', waiting)).status).toBe('queued');
    expect(await inlet.object('safe', 'stored')).toBeDefined();
    const ready = await fetch(`${inlet.url}/readyz`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({
      status: 'ready',
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

  it('restarted with the same settings: goes on, and nothing is said', async () => {
    const redis = await redisWith();
    const inlet = await startOn(redis.url, true);
    await redis.kill('SIGKILL');
    await refused(inlet);
    await redis.start();
    await taken(inlet);
    expect(messages('durable')).toEqual([]);
  });

  it('set up anew while it runs: writes are refused within seconds, and taken again when that is undone', async () => {
    const redis = await redisWith();
    const inlet = await startOn(redis.url, true);
    await setRedis(redis.url, 'maxmemory-policy', 'allkeys-lru');
    await refused(inlet);
    expect(messages('writes are refused')).toEqual([expect.stringContaining('maxmemory-policy')]);
    await setRedis(redis.url, 'maxmemory-policy', 'noeviction');
    await taken(inlet);
  });

  it('replaced by a weaker replica: nothing is taken by that', async () => {
    const [first, replica] = [await redisWith(), await redisWith(WEAK)];
    const proxy = await startProxy(first.port);
    closers.push(() => proxy.close());
    const inlet = await startOn(`redis://127.0.0.1:${proxy.port}`, true);
    const waiting = await inlet.write('safe', '{"data":{"id":"waiting"}}');

    const client = new Redis(replica.url);
    closers.push(() => client.quit());
    await client.replicaof('127.0.0.1', first.port);
    await eventually(async () => /master_link_status:up/.test(await client.info('replication')) || undefined);
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

describe.skipIf(inject('redisUrl') === null)('on a Redis that need not be durable', () => {
  it('weaknesses are named in the log when they come and when they go, not on every reconnect', async () => {
    const redis = await redisWith();
    const inlet = await startOn(redis.url, false);
    expect(messages('acknowledged writes could be lost')).toEqual([]);
    for (let restart = 0; restart < 2; restart += 1) {
      await redis.kill('SIGKILL');
      await refused(inlet);
      await redis.start(WEAK);
      await taken(inlet);
      await eventually(async () => messages('acknowledged writes could be lost').length > 0 || undefined);
    }
    // The watch looks again every second now.
    await setRedis(redis.url, 'appendonly', 'no');
    await eventually(async () => messages('appendonly').length > 0 || undefined);
    expect(messages('acknowledged writes could be lost')).toEqual([
      expect.stringContaining('appendfsync'),
      expect.stringContaining('appendonly'),
      expect.stringContaining('appendfsync'),
    ]);
    await redis.kill('SIGKILL');
    await refused(inlet);
    await redis.start();
    await taken(inlet);
    await eventually(async () => messages('durable again').length > 0 || undefined);
  });

  it('those that it had from the start are named once', async () => {
    const redis = await redisWith(WEAK);
    const inlet = await startOn(redis.url, false);
    await redis.kill('SIGKILL');
    await refused(inlet);
    await redis.start(WEAK);
    await taken(inlet);
    await setRedis(redis.url, 'appendfsync', 'always');
    await eventually(async () => messages('durable again').length > 0 || undefined);
    expect(messages('acknowledged writes could be lost')).toHaveLength(1);
  });
});

it('on a Postgres queue that must be durable: refused when it commits without the disk, and taken again', async () => {
  const postgres = await startPostgres({ fsync: true });
  closers.push(() => postgres.stop());
  const config = testConfig({ databaseUrl: postgres.url }, { requireDurableQueue: true });
  const inlet = await startInlet(await prepare(config), 0);
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
  await eventually(async () => messages('writes are refused').length > 0 || undefined);
  expect((await post(inlet)).status).toBe(503);
  expect(messages('writes are refused')).toEqual([
    expect.stringContaining('Postgres has synchronous_commit off'),
  ]);
  await set('on');
  await taken(inlet);
});
