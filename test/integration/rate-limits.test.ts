/** Rates of keys, in requests and in objects, over one process and several. */
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import type { ProblemAnswer } from '../support/inlet.ts';
import { eventually, TestInlet, testConfig } from '../support/inlet.ts';
import type { MadeKey } from '../support/keys.ts';
import { bearer, makeKey } from '../support/keys.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { describeOnBothQueues } from '../support/queues.ts';
import { startRedis } from '../support/redis.ts';

let closers: (() => Promise<unknown>)[];

beforeEach(() => {
  closers = [];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

async function start(redisUrl: string | undefined, ...options: string[]) {
  const database = await createTestDatabase();
  closers.push(() => database.drop());
  const key = await makeKey(database.url, ...options);
  const inlet = await TestInlet.start(testConfig({ databaseUrl: database.url, redisUrl }), { workers: 0 });
  closers.push(() => inlet.close());
  return { inlet, key };
}

function read({ url }: TestInlet, key: MadeKey): Promise<Response> {
  return fetch(`${url}/v1/data/rates/objects`, { headers: bearer(key) });
}

function write({ url }: TestInlet, key: MadeKey, objects: number): Promise<Response> {
  return fetch(`${url}/v1/data/rates`, {
    method: 'POST',
    headers: { ...bearer(key), 'content-type': 'application/json' },
    body: JSON.stringify({ data: Array.from({ length: objects }, (_, i) => ({ id: `o${i}` })) }),
  });
}

/** Of a window that has just begun, what is left at least, in milliseconds. */
const WINDOW_MS = 900;

/**
 * Runs something within one window of a rate: waits until one is used up and over, and tries anew where a slow machine
 * let the next one begin meanwhile.
 */
async function inOneWindow<T>(useUp: () => Promise<Response>, run: () => Promise<T>): Promise<T> {
  return eventually(async () => {
    const response = await useUp();
    if (response.status !== 429) return undefined;
    await delay(Number(response.headers.get('retry-after-ms')) + 5);
    const started = performance.now();
    const result = await run();
    return performance.now() - started < WINDOW_MS ? result : undefined;
  });
}

describeOnBothQueues('a rate', ({ redisUrl }) => {
  it('in requests: what is beyond it gets 429 with when to come back, and then service goes on', async () => {
    const { inlet, key } = await start(redisUrl, '--rate', '5/s');
    const answers = await inOneWindow(
      () => read(inlet, key),
      () => Promise.all(Array.from({ length: 8 }, () => read(inlet, key))),
    );
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([200, 200, 200, 200, 200, 429, 429, 429]);
    for (const { headers } of answers) {
      expect(headers.get('ratelimit-policy')).toBe('"requests";q=5;w=1');
      expect(headers.get('ratelimit')).toMatch(/^"requests";r=[0-4];t=1$/);
    }
    const refused = answers.find(({ status }) => status === 429);
    expect(refused?.headers.get('retry-after')).toBe('1');
    expect(Number(refused?.headers.get('retry-after-ms'))).toBeLessThanOrEqual(1_000);
    expect(refused?.headers.get('content-type')).toContain('application/problem+json');
    expect((await refused?.json()) as ProblemAnswer).toMatchObject({
      status: 429,
      detail: expect.stringContaining('5 requests per second'),
    });
    await eventually(async () => (await read(inlet, key)).status === 200 || undefined);
  });

  it('in objects: a request that goes beyond it is refused as a whole', async () => {
    const { inlet, key } = await start(redisUrl, '--object-rate', '10/s');
    const [taken, refused] = await inOneWindow(
      () => write(inlet, key, 10),
      async () => [await write(inlet, key, 8), await write(inlet, key, 3)] as const,
    );
    expect(taken.status).toBe(202);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('ratelimit-policy')).toBe('"objects";q=10;w=1');
    // Reads don't count.
    expect((await read(inlet, key)).status).toBe(200);
    await eventually(async () => (await write(inlet, key, 3)).status === 202 || undefined);
  });

  it('in objects: a request of more than a second may hold is taken, and the seconds after it are used up', async () => {
    const { inlet, key } = await start(redisUrl, '--object-rate', '10/s');
    const [taken, refused] = await inOneWindow(
      () => write(inlet, key, 10),
      async () => [await write(inlet, key, 25), await write(inlet, key, 1)] as const,
    );
    expect(taken.status).toBe(202);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(2);
    await eventually(async () => (await write(inlet, key, 1)).status === 202 || undefined);
  });

  it('of both kinds is told in one header each', async () => {
    const { inlet, key } = await start(redisUrl, '--rate', '50', '--object-rate', '100');
    const response = await eventually(async () => {
      const answer = await write(inlet, key, 3);
      return answer.status === 202 ? answer : undefined;
    });
    expect(response.headers.get('ratelimit-policy')).toBe('"requests";q=50;w=1, "objects";q=100;w=1');
    expect(response.headers.get('ratelimit')).toMatch(/^"requests";r=49;t=1, "objects";r=97;t=1$/);
  });

  it('is not there for a key without one', async () => {
    const { inlet, key } = await start(redisUrl);
    const response = await eventually(async () => {
      const answer = await write(inlet, key, 1);
      return answer.status === 202 ? answer : undefined;
    });
    expect(response.headers.get('ratelimit')).toBeNull();
    expect(response.headers.get('ratelimit-policy')).toBeNull();
  });
});

describe.skipIf(inject('redisUrl') === null)('on Redis', () => {
  it('all API processes count together', async () => {
    const { inlet, key } = await start(inject('redisUrl') ?? undefined, '--rate', '20/s');
    const other = await TestInlet.start(inlet.config, { workers: 0 });
    closers.push(() => other.close());
    const answers = await inOneWindow(
      () => read(inlet, key),
      () => Promise.all(Array.from({ length: 40 }, (_, i) => read(i % 2 ? inlet : other, key))),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(20);
  });

  it('that is away or full, each process counts for itself', async () => {
    const redis = await startRedis();
    closers.push(() => redis.stop());
    const { inlet, key } = await start(redis.url, '--rate', '5/s');
    const expectLimited = async () => {
      const answers = await inOneWindow(
        () => read(inlet, key),
        () => Promise.all(Array.from({ length: 8 }, () => read(inlet, key))),
      );
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(5);
    };
    const client = new Redis(redis.url);
    client.on('error', () => undefined);
    closers.push(async () => client.disconnect());
    await client.config('SET', 'maxmemory', '1');
    await expectLimited();
    await redis.kill('SIGKILL');
    await expectLimited();
  });
});
