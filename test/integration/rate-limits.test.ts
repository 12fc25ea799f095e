/** Rates of keys, in requests and in objects, over one process and several. */
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe, expect, inject, onTestFinished } from 'vitest';
import { describeOnBothQueues, inletTest, startInlet } from '../support/fixtures.ts';
import type { ProblemAnswer, TestInlet } from '../support/inlet.ts';
import { testConfig } from '../support/inlet.ts';
import type { MadeKey } from '../support/keys.ts';
import { bearer, makeKey } from '../support/keys.ts';
import { startRedis } from '../support/redis.ts';
import { waitFor } from '../support/wait-for.ts';

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
  const { result } = await waitFor('one window that is long enough', async () => {
    const response = await useUp();
    if (response.status !== 429) return false;
    await delay(Number(response.headers.get('retry-after-ms')) + 5);
    const started = performance.now();
    const result = await run();
    return performance.now() - started < WINDOW_MS && { result };
  });
  return result;
}

/** Asks until service goes on. */
function served(status: number, ask: () => Promise<Response>): Promise<Response> {
  return waitFor(`the answer ${status}`, async () => {
    const answer = await ask();
    return answer.status === status && answer;
  });
}

// At the same time, as each has a key of its own: most of their time they wait for the next second.
describeOnBothQueues(
  'a rate',
  (test) => {
    test.concurrent('in requests: what is beyond it gets 429 with when to come back, and then service goes on', async ({
      inlet,
      databaseUrl,
    }) => {
      const key = await makeKey(databaseUrl, '--rate', '5/s');
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
      await served(200, () => read(inlet, key));
    });

    test.concurrent('in objects: a request that goes beyond it is refused as a whole', async ({
      inlet,
      databaseUrl,
    }) => {
      const key = await makeKey(databaseUrl, '--object-rate', '10/s');
      const [taken, refused] = await inOneWindow(
        () => write(inlet, key, 10),
        async () => [await write(inlet, key, 8), await write(inlet, key, 3)] as const,
      );
      expect(taken.status).toBe(202);
      expect(refused.status).toBe(429);
      expect(refused.headers.get('ratelimit-policy')).toBe('"objects";q=10;w=1');
      // Reads don't count.
      expect((await read(inlet, key)).status).toBe(200);
      await served(202, () => write(inlet, key, 3));
    });

    test.concurrent('in objects: a request of more than a second may hold is taken, and the seconds after it are used up', async ({
      inlet,
      databaseUrl,
    }) => {
      const key = await makeKey(databaseUrl, '--object-rate', '10/s');
      const [taken, refused] = await inOneWindow(
        () => write(inlet, key, 10),
        async () => [await write(inlet, key, 25), await write(inlet, key, 1)] as const,
      );
      expect(taken.status).toBe(202);
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(2);
      await served(202, () => write(inlet, key, 1));
    });

    test.concurrent('of both kinds is told in one header each', async ({ inlet, databaseUrl }) => {
      const key = await makeKey(databaseUrl, '--rate', '50', '--object-rate', '100');
      const response = await served(202, () => write(inlet, key, 3));
      expect(response.headers.get('ratelimit-policy')).toBe('"requests";q=50;w=1, "objects";q=100;w=1');
      expect(response.headers.get('ratelimit')).toMatch(/^"requests";r=49;t=1, "objects";r=97;t=1$/);
    });

    test.concurrent('is not there for a key without one', async ({ inlet, databaseUrl }) => {
      const key = await makeKey(databaseUrl);
      const response = await served(202, () => write(inlet, key, 1));
      expect(response.headers.get('ratelimit')).toBeNull();
      expect(response.headers.get('ratelimit-policy')).toBeNull();
    });
  },
  { workers: 0 },
);

const test = inletTest({ workers: 0 });

describe.skipIf(inject('redisUrl') === null)('on Redis', () => {
  test('all API processes count together', async ({ inlet, databaseUrl }) => {
    const key = await makeKey(databaseUrl, '--rate', '20/s');
    const other = await startInlet(inlet.config, { workers: 0 });
    const answers = await inOneWindow(
      () => read(inlet, key),
      () => Promise.all(Array.from({ length: 40 }, (_, i) => read(i % 2 ? inlet : other, key))),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(20);
  });

  test('that is away or full, each process counts for itself', async ({ databaseUrl }) => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const key = await makeKey(databaseUrl, '--rate', '5/s');
    const inlet = await startInlet(testConfig({ databaseUrl, redisUrl: redis.url }), { workers: 0 });
    const expectLimited = async () => {
      const answers = await inOneWindow(
        () => read(inlet, key),
        () => Promise.all(Array.from({ length: 8 }, () => read(inlet, key))),
      );
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(5);
    };
    const client = new Redis(redis.url);
    client.on('error', () => undefined);
    onTestFinished(() => client.disconnect());
    await client.config('SET', 'maxmemory', '1');
    await expectLimited();
    await redis.kill('SIGKILL');
    await expectLimited();
  });
});
