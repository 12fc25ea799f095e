/** What clients see while Redis or Postgres is away, and that service resumes by itself. */
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import { describe, expect, inject, onTestFinished } from 'vitest';
import type { RuntimeConfig } from '../../src/runtime.ts';
import { freshDatabase, inletTest, startInlet } from '../support/fixtures.ts';
import { prepare, TestInlet, testConfig } from '../support/inlet.ts';
import type { TestPostgres } from '../support/postgres.ts';
import { query, startPostgres } from '../support/postgres.ts';
import { startProxy } from '../support/proxy.ts';
import type { TestRedis } from '../support/redis.ts';
import { startRedis } from '../support/redis.ts';
import { waitFor } from '../support/wait-for.ts';

/** The longest that a client may wait for its 503, in milliseconds. */
const LONGEST_ANSWER_MS = 5_000;

const test = inletTest().extend(
  'postgres',
  { scope: 'file' }, // biome-ignore lint/correctness/noEmptyPattern: vitest wants to be told that it needs nothing
  async ({}, { onCleanup }) => {
    const postgres = await startPostgres({ fsync: true });
    onCleanup(() => postgres.stop());
    return postgres;
  },
);

/** Writes, and checks that it is refused the way it must be while the queue is away. */
async function expectRefused(inlet: TestInlet, id: string): Promise<void> {
  const started = performance.now();
  const response = await inlet.post('outage', `{"data":{"id":"${id}"}}`);
  expect(performance.now() - started).toBeLessThan(LONGEST_ANSWER_MS);
  expect(response.status).toBe(503);
  expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(response.headers.get('content-type')).toContain('application/problem+json');
}

/** Writes until a write is taken. */
async function writeWhenBack(inlet: TestInlet, id: string): Promise<string> {
  return waitFor('a write to be taken', () => inlet.write('outage', `{"data":{"id":"${id}"}}`));
}

async function readyStatus(inlet: TestInlet): Promise<{ code: number; body: Record<string, unknown> }> {
  const response = await fetch(`${inlet.url}/readyz`);
  return { code: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** Waits until /readyz says what becomes of writes, and why. Reads go on. */
async function writesAre(
  inlet: TestInlet,
  writes: 'accepted' | 'refused',
  why?: string,
  reads = true,
): Promise<void> {
  await waitFor(`writes to be ${writes}`, async () => {
    const { code, body } = await readyStatus(inlet);
    expect(body['queue']).toBe('up');
    expect({ code, status: body['status'] }).toEqual(
      body['writes'] === 'accepted' ? { code: 200, status: 'ready' } : { code: 503, status: 'not_ready' },
    );
    expect((await fetch(`${inlet.url}/readyz/reads`)).status).toBe(reads ? 200 : 503);
    const warnings = JSON.stringify(body['warnings'] ?? []);
    return body['writes'] === writes && warnings.includes(why ? `takes no writes (${why})` : '');
  });
}

describe.skipIf(inject('redisUrl') === null)('Redis', () => {
  /** A Redis for one test. */
  async function ownRedis(args: string[] = []): Promise<TestRedis> {
    const redis = await startRedis({ args });
    onTestFinished(() => redis.stop());
    return redis;
  }

  async function start(
    databaseUrl: string,
    { workers = 1, args = [] as string[] } = {},
  ): Promise<{ inlet: TestInlet; redis: TestRedis }> {
    const redis = await ownRedis(args);
    const inlet = await startInlet(testConfig({ databaseUrl, redisUrl: redis.url }), { workers });
    return { inlet, redis };
  }

  function connect({ url }: TestRedis): Redis {
    const client = new Redis(url);
    onTestFinished(() => client.disconnect());
    return client;
  }

  test('killed: writes get 503, and when it is back they are taken and nothing acknowledged is lost', async ({
    databaseUrl,
  }) => {
    const { inlet, redis } = await start(databaseUrl);
    const before = await inlet.write('outage', '{"data":{"id":"before"}}');
    await redis.kill('SIGKILL');
    await expectRefused(inlet, 'while');
    expect(await readyStatus(inlet)).toMatchObject({ code: 503, body: { queue: 'down', store: 'up' } });
    await redis.start();
    const after = await writeWhenBack(inlet, 'after');
    await inlet.done('outage', before);
    await inlet.done('outage', after);
    expect(await inlet.object('outage', 'after')).toBeDefined();
  });

  test('stopped: writes get 503 in time, again and again, and are taken when it goes on', async ({
    databaseUrl,
  }) => {
    const { inlet, redis } = await start(databaseUrl);
    await redis.kill('SIGSTOP');
    try {
      await Promise.all(['a', 'b', 'c', 'd'].map((id) => expectRefused(inlet, id)));
      await expectRefused(inlet, 'e');
    } finally {
      await redis.kill('SIGCONT');
    }
    await inlet.done('outage', await writeWhenBack(inlet, 'after'));
  });

  test('out of memory: writes get 503, the API stays ready, and they are taken when there is room again', async ({
    databaseUrl,
  }) => {
    const { inlet, redis } = await start(databaseUrl);
    const client = connect(redis);
    await client.config('SET', 'maxmemory', '1');
    await expectRefused(inlet, 'while');
    expect(await readyStatus(inlet)).toMatchObject({ code: 200, body: { status: 'ready' } });
    await client.config('SET', 'maxmemory', '0');
    await inlet.done('outage', await writeWhenBack(inlet, 'after'));
  });

  test('a replica all of a sudden: /readyz says that writes are refused', async ({ databaseUrl }) => {
    const { inlet, redis } = await start(databaseUrl, { workers: 0 });
    const client = connect(redis);
    await writesAre(inlet, 'accepted');
    await client.replicaof('127.0.0.1', '1');
    // Before anybody has written.
    await writesAre(inlet, 'refused', 'READONLY');
    await expectRefused(inlet, 'while');
    await client.replicaof('NO', 'ONE');
    await writeWhenBack(inlet, 'after');
    await writesAre(inlet, 'accepted');
  });

  test('demoted behind the same address: API and worker find the one that has taken its place', async ({
    databaseUrl,
  }) => {
    const [old, next] = [await ownRedis(), await ownRedis()];
    const proxy = await startProxy(old.port);
    onTestFinished(() => proxy.close());
    const redisUrl = `redis://127.0.0.1:${proxy.port}`;
    const inlet = await startInlet(testConfig({ databaseUrl, redisUrl }));
    await inlet.done('outage', await inlet.write('outage', '{"data":{"id":"before"}}'));
    const [first, second] = [connect(old), connect(next)];
    await second.replicaof('127.0.0.1', old.port);
    await waitFor('the replica', async () => /master_link_status:up/.test(await second.info('replication')));
    await second.replicaof('NO', 'ONE');
    // Connections that are there stay with the old one, which takes no writes.
    proxy.divert(next.port);
    await first.replicaof('127.0.0.1', next.port);
    await inlet.done('outage', await writeWhenBack(inlet, 'after'));
    await writesAre(inlet, 'accepted');
  });

  test.each(['EVAL', 'EVALSHA', 'LPUSH', 'HMSET', 'ZADD', 'XADD', 'INCR'])(
    'whose user may not %s: /readyz says so before anybody has written, and when that is mended',
    async (right) => {
      const redis = await ownRedis();
      const admin = connect(redis);
      await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', '+@all');
      const url = redis.url.replace('redis://', 'redis://app:secret@');
      const databaseUrl = await freshDatabase();
      const inlet = await startInlet(testConfig({ databaseUrl, redisUrl: url }), { workers: 0 });
      await admin.call('ACL', 'SETUSER', 'app', `-${right.toLowerCase()}`);
      await waitFor('writes to be refused', async () => (await readyStatus(inlet)).code === 503);
      const response = await inlet.post('outage', '{"data":{"id":"while"}}');
      expect(response.status).toBe(503);
      await admin.call('ACL', 'SETUSER', 'app', '+@all');
      await writeWhenBack(inlet, 'after');
      await writesAre(inlet, 'accepted');
    },
  );

  test('out of memory with batches waiting: workers take them when there is room again', async ({
    databaseUrl,
  }) => {
    const { inlet, redis } = await start(databaseUrl, { workers: 0 });
    const requestId = await inlet.write('outage', '{"data":{"id":"waiting"}}');
    const client = connect(redis);
    await client.config('SET', 'maxmemory', '1');
    await inlet.addWorker();
    await client.config('RESETSTAT');
    await delay(1_500);
    // It asks about once a second, not as fast as it can.
    const errors = Number(/^errorstat_OOM:count=(\d+)/m.exec(await client.info('errorstats'))?.[1] ?? 0);
    expect(errors).toBeLessThan(16);
    await client.config('SET', 'maxmemory', '0');
    expect((await inlet.done('outage', requestId)).status).toBe('succeeded');
  });

  test('filled faster than anybody looks: the queue itself refuses, workers drain it, and writes are taken again', async ({
    databaseUrl,
  }) => {
    const { inlet, redis } = await start(databaseUrl, { workers: 0, args: ['--maxmemory', '32mb'] });
    const client = connect(redis);
    const accepted: string[] = [];
    const padding = 'x'.repeat(500_000);
    for (let n = 0; ; n += 1) {
      const response = await inlet.post('full', JSON.stringify({ data: { id: `o${n}`, padding } }));
      const { requestId } = (await response.json()) as { requestId: string };
      if (response.status === 503) {
        expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
        break;
      }
      accepted.push(requestId);
      expect(n, 'it is refused before it is full').toBeLessThan(65);
    }
    expect(accepted.length).toBeGreaterThan(5);
    // Workers have what is left: between two looks at the memory no more comes in than is kept free for that.
    const used = Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1]);
    expect(used).toBeLessThan(32 * 1024 ** 2);
    await inlet.addWorker();
    for (const requestId of accepted) await inlet.done('full', requestId);
    await inlet.done('outage', await writeWhenBack(inlet, 'after'));
  });

  test('away at the start: the API starts, refuses, and takes writes when Redis comes', async ({
    databaseUrl,
  }) => {
    const redis = await ownRedis();
    await redis.kill('SIGKILL');
    const late = await startInlet(testConfig({ databaseUrl, redisUrl: redis.url }));
    await expectRefused(late, 'early');
    await redis.start();
    await late.done('outage', await writeWhenBack(late, 'after'));
  });

  test('set up so that it may lose writes: named by /readyz, and refused where that is required', async () => {
    const { inlet, redis } = await start(await freshDatabase());
    const client = connect(redis);
    await client.config('SET', 'appendfsync', 'everysec');
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const { code, body } = await readyStatus(inlet);
    expect(code).toBe(200);
    expect(body['warnings']).toEqual([
      expect.stringContaining('appendfsync'),
      expect.stringContaining('maxmemory-policy'),
    ]);
    const strict = { ...inlet.config, requireDurableQueue: true };
    await expect(TestInlet.start(strict, { workers: 0 })).rejects.toThrow(
      /appendfsync.*INLET_REQUIRE_DURABLE_QUEUE/s,
    );
  });
});

describe('Postgres', () => {
  async function startOn(postgres: TestPostgres, config: RuntimeConfig): Promise<TestInlet> {
    onTestFinished(async () => {
      if (!(await postgres.isRunning())) await postgres.start();
    });
    return startInlet(await prepare(config));
  }

  test('lets nobody read objects: /readyz/reads says so', async ({ postgres }) => {
    const inlet = await startInlet(await prepare(testConfig({ databaseUrl: postgres.url })), { workers: 0 });
    const reads = (status: number) =>
      waitFor(`${status}`, async () => (await fetch(`${inlet.url}/readyz/reads`)).status === status);
    await reads(200);
    await query(postgres.url, 'ALTER TABLE inlet.objects RENAME TO elsewhere');
    onTestFinished(async () => {
      await query(postgres.url, 'ALTER TABLE IF EXISTS inlet.elsewhere RENAME TO objects');
    });
    await reads(503);
    await writesAre(inlet, 'accepted', undefined, false);
    await query(postgres.url, 'ALTER TABLE inlet.elsewhere RENAME TO objects');
    await reads(200);
  });

  test('lets nobody take a stamp: /readyz says so', async ({ postgres }) => {
    const inlet = await startInlet(await prepare(testConfig({ databaseUrl: postgres.url })), { workers: 0 });
    await writesAre(inlet, 'accepted');
    await query(postgres.url, 'ALTER FUNCTION inlet.take_stamp() RENAME TO elsewhere');
    onTestFinished(async () => {
      await query(postgres.url, 'ALTER FUNCTION inlet.elsewhere() RENAME TO take_stamp').catch(
        () => undefined,
      );
    });
    await writesAre(inlet, 'refused', '42883');
    await query(postgres.url, 'ALTER FUNCTION inlet.elsewhere() RENAME TO take_stamp');
    await writesAre(inlet, 'accepted');
  });

  test('taking no writes, with the queue in it: /readyz says so', async ({ postgres }) => {
    const set = async (text: string): Promise<void> => {
      await query(postgres.url, text);
      await query(postgres.url, 'SELECT pg_reload_conf()');
    };
    const inlet = await startInlet(await prepare(testConfig({ databaseUrl: postgres.url })), { workers: 0 });
    await writesAre(inlet, 'accepted');

    // Before anybody has written.
    await set(`ALTER SYSTEM SET synchronous_standby_names = 'frozen'`);
    onTestFinished(() => set('ALTER SYSTEM RESET synchronous_standby_names'));
    await writesAre(inlet, 'refused', 'no answer');
    await set('ALTER SYSTEM RESET synchronous_standby_names');
    await writesAre(inlet, 'accepted');

    await set('ALTER SYSTEM SET default_transaction_read_only = on');
    onTestFinished(() => set('ALTER SYSTEM RESET default_transaction_read_only'));
    await writesAre(inlet, 'refused', '25006');
    await set('ALTER SYSTEM RESET default_transaction_read_only');
    await writesAre(inlet, 'accepted');

    await query(
      postgres.url,
      `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
       CREATE TRIGGER full_disk BEFORE INSERT ON inlet_queue.job FOR EACH ROW EXECUTE FUNCTION full_disk()`,
    );
    onTestFinished(async () => {
      await query(postgres.url, 'DROP FUNCTION IF EXISTS full_disk CASCADE');
    });
    await expectRefused(inlet, 'full');
    await writesAre(inlet, 'refused', '53100');
    await query(postgres.url, 'DROP FUNCTION full_disk CASCADE');
    await writeWhenBack(inlet, 'room');
    await writesAre(inlet, 'accepted');
  });

  test.skipIf(inject('redisUrl') === null)(
    'killed, with the queue on Redis: writes are taken and found, and stored when it is back',
    async ({ postgres }) => {
      const redisUrl = inject('redisUrl') ?? undefined;
      const inlet = await startOn(postgres, testConfig({ databaseUrl: postgres.url, redisUrl }));
      await inlet.done('outage', await inlet.write('outage', '{"data":{"id":"before"}}'));

      await postgres.kill('SIGKILL');
      const body = '{"data":{"id":"while"},"schema":{"f":{"content_type":"card"}}}';
      const requestId = await inlet.write('outage', body);
      expect((await inlet.status('outage', requestId)).status).toMatch(/^(queued|ingesting)$/);
      for (const path of ['objects/before', 'requests', 'settings']) {
        expect((await inlet.fetch(`/v1/data/outage/${path}`)).status, path).toBe(503);
      }
      expect(await readyStatus(inlet)).toMatchObject({ code: 200, body: { queue: 'up', store: 'down' } });

      // An API that is started now takes writes as well.
      const second = await startInlet(inlet.config, { workers: 0 });
      const late = await second.write('outage', '{"data":{"id":"late"}}');

      await postgres.start();
      expect((await inlet.done('outage', requestId)).status).toBe('succeeded');
      expect((await inlet.done('outage', late)).status).toBe('succeeded');
      expect(await inlet.object('outage', 'while')).toBeDefined();
      expect((await inlet.fetch('/v1/data/outage/settings')).status).toBe(200);
    },
  );

  test('killed, with the queue in it: writes get 503 in time, and are taken when it is back', async ({
    postgres,
  }) => {
    const inlet = await startOn(postgres, testConfig({ databaseUrl: postgres.url }));
    const before = await inlet.write('outage', '{"data":{"id":"before"}}');
    await postgres.kill('SIGKILL');
    await expectRefused(inlet, 'while');
    expect(await readyStatus(inlet)).toMatchObject({ code: 503, body: { queue: 'down', store: 'down' } });
    await postgres.start();
    const after = await writeWhenBack(inlet, 'after');
    expect((await inlet.done('outage', before)).status).toBe('succeeded');
    expect((await inlet.done('outage', after)).status).toBe('succeeded');
  });

  test('not answering, with the queue in it: writes get 503 in time, and are taken when it goes on', async ({
    postgres,
  }) => {
    const inlet = await startOn(postgres, testConfig({ databaseUrl: postgres.url }));
    const client = new pg.Client({ connectionString: postgres.url });
    await client.connect();
    onTestFinished(() => client.end());
    await client.query('BEGIN');
    await client.query('LOCK TABLE inlet_queue.job IN ACCESS EXCLUSIVE MODE');
    await Promise.all(['a', 'b', 'c', 'd'].map((id) => expectRefused(inlet, id)));
    await client.query('ROLLBACK');
    await inlet.done('outage', await writeWhenBack(inlet, 'after'));
  });
});
