/** What clients see while Redis or Postgres is away, and that service resumes by itself. */
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { eventually, prepare, TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase, startPostgres } from '../support/postgres.ts';
import { startRedis } from '../support/redis.ts';

/** The longest that a client may wait for its 503, in milliseconds. */
const LONGEST_ANSWER_MS = 5_000;

let closers: (() => Promise<unknown>)[];

beforeEach(() => {
  closers = [];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

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
  return eventually(() => inlet.write('outage', `{"data":{"id":"${id}"}}`).catch(() => undefined));
}

async function readyStatus(inlet: TestInlet): Promise<{ code: number; body: Record<string, unknown> }> {
  const response = await fetch(`${inlet.url}/readyz`);
  return { code: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe.skipIf(inject('redisUrl') === null)('Redis', () => {
  async function start({ workers = 1 } = {}): Promise<{
    inlet: TestInlet;
    redis: Awaited<ReturnType<typeof startRedis>>;
  }> {
    const redis = await startRedis();
    closers.push(() => redis.stop());
    const database = await createTestDatabase();
    closers.push(() => database.drop());
    const config = testConfig({ databaseUrl: database.url, redisUrl: redis.url });
    const inlet = await TestInlet.start(config, { workers });
    closers.push(() => inlet.close());
    return { inlet, redis };
  }

  it('killed: writes get 503, and when it is back they are taken and nothing acknowledged is lost', async () => {
    const { inlet, redis } = await start();
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

  it('stopped: writes get 503 in time, again and again, and are taken when it goes on', async () => {
    const { inlet, redis } = await start();
    await redis.kill('SIGSTOP');
    try {
      await Promise.all(['a', 'b', 'c', 'd'].map((id) => expectRefused(inlet, id)));
      await expectRefused(inlet, 'e');
    } finally {
      await redis.kill('SIGCONT');
    }
    await inlet.done('outage', await writeWhenBack(inlet, 'after'));
  });

  it('out of memory: writes get 503, and are taken when there is room again', async () => {
    const { inlet, redis } = await start();
    const client = new Redis(redis.url);
    closers.push(() => client.quit());
    await client.config('SET', 'maxmemory', '1');
    await expectRefused(inlet, 'while');
    await client.config('SET', 'maxmemory', '0');
    await inlet.done('outage', await writeWhenBack(inlet, 'after'));
  });

  it('out of memory with batches waiting: workers take them when there is room again', async () => {
    const { inlet, redis } = await start({ workers: 0 });
    const requestId = await inlet.write('outage', '{"data":{"id":"waiting"}}');
    const client = new Redis(redis.url);
    closers.push(() => client.quit());
    await client.config('SET', 'maxmemory', '1');
    await inlet.addWorker();
    await client.config('RESETSTAT');
    await new Promise((resolve) => {
      setTimeout(resolve, 2_500);
    });
    // It asks about once a second, not as fast as it can.
    const errors = Number(/^errorstat_OOM:count=(\d+)/m.exec(await client.info('errorstats'))?.[1] ?? 0);
    expect(errors).toBeLessThan(20);
    await client.config('SET', 'maxmemory', '0');
    expect((await inlet.done('outage', requestId)).status).toBe('succeeded');
  });

  it('filled faster than anybody looks: the queue itself refuses, workers drain it, and writes are taken again', async () => {
    const redis = await startRedis({ args: ['--maxmemory', '64mb'] });
    closers.push(() => redis.stop());
    const database = await createTestDatabase();
    closers.push(() => database.drop());
    const config = testConfig({ databaseUrl: database.url, redisUrl: redis.url });
    const inlet = await TestInlet.start(config, { workers: 0 });
    closers.push(() => inlet.close());
    const client = new Redis(redis.url);
    closers.push(() => client.quit());
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
      expect(n, 'it is refused before it is full').toBeLessThan(130);
    }
    expect(accepted.length).toBeGreaterThan(5);
    // Workers have what is left: between two looks at the memory no more comes in than is kept free for that.
    const used = Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1]);
    expect(used).toBeLessThan(64 * 1024 ** 2);
    await inlet.addWorker();
    for (const requestId of accepted) await inlet.done('full', requestId);
    await inlet.done('outage', await writeWhenBack(inlet, 'after'));
  });

  it('away at the start: the API starts, refuses, and takes writes when Redis comes', async () => {
    const { redis } = await start();
    await redis.kill('SIGKILL');
    const database = await createTestDatabase();
    closers.push(() => database.drop());
    const late = await TestInlet.start(testConfig({ databaseUrl: database.url, redisUrl: redis.url }));
    closers.push(() => late.close());
    await expectRefused(late, 'early');
    await redis.start();
    await late.done('outage', await writeWhenBack(late, 'after'));
  });

  it('set up so that it may lose writes: named by /readyz, and refused where that is required', async () => {
    const { inlet, redis } = await start();
    const client = new Redis(redis.url);
    closers.push(() => client.quit());
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
  it.skipIf(inject('redisUrl') === null)(
    'killed, with the queue on Redis: writes are taken and found, and stored when it is back',
    async () => {
      const postgres = await startPostgres({ fsync: true });
      closers.push(() => postgres.stop());
      const redisUrl = inject('redisUrl') ?? undefined;
      const inlet = await TestInlet.start(await prepare(testConfig({ databaseUrl: postgres.url, redisUrl })));
      closers.push(() => inlet.close());
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
      const second = await TestInlet.start(inlet.config, { workers: 0 });
      closers.push(() => second.close());
      const late = await second.write('outage', '{"data":{"id":"late"}}');

      await postgres.start();
      expect((await inlet.done('outage', requestId)).status).toBe('succeeded');
      expect((await inlet.done('outage', late)).status).toBe('succeeded');
      expect(await inlet.object('outage', 'while')).toBeDefined();
      expect((await inlet.fetch('/v1/data/outage/settings')).status).toBe(200);
    },
  );

  async function startOnPostgresQueue() {
    const postgres = await startPostgres({ fsync: true });
    closers.push(() => postgres.stop());
    const inlet = await TestInlet.start(await prepare(testConfig({ databaseUrl: postgres.url })));
    closers.push(() => inlet.close());
    return { postgres, inlet };
  }

  it('killed, with the queue in it: writes get 503 in time, and are taken when it is back', async () => {
    const { postgres, inlet } = await startOnPostgresQueue();
    const before = await inlet.write('outage', '{"data":{"id":"before"}}');
    await postgres.kill('SIGKILL');
    await expectRefused(inlet, 'while');
    expect(await readyStatus(inlet)).toMatchObject({ code: 503, body: { queue: 'down', store: 'down' } });
    await postgres.start();
    const after = await writeWhenBack(inlet, 'after');
    expect((await inlet.done('outage', before)).status).toBe('succeeded');
    expect((await inlet.done('outage', after)).status).toBe('succeeded');
  });

  it('not answering, with the queue in it: writes get 503 in time, and are taken when it goes on', async () => {
    const { postgres, inlet } = await startOnPostgresQueue();
    const client = new pg.Client({ connectionString: postgres.url });
    await client.connect();
    closers.push(() => client.end());
    await client.query('BEGIN');
    await client.query('LOCK TABLE inlet_queue.job IN ACCESS EXCLUSIVE MODE');
    await Promise.all(['a', 'b', 'c', 'd'].map((id) => expectRefused(inlet, id)));
    await client.query('ROLLBACK');
    await inlet.done('outage', await writeWhenBack(inlet, 'after'));
  });
});
