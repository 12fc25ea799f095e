/** Limits on bodies, over HTTP: what is refused, that the client gets to see it, and that others go on. */
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished } from 'vitest';
import type { Config } from '../../src/config.ts';
import type { HttpLimits } from '../../src/http/limits.ts';
import type { QueueConfig } from '../../src/runtime.ts';
import { inletTest, startInlet } from '../support/fixtures.ts';
import { lines, newImport, upload } from '../support/imports.ts';
import type { TestInlet } from '../support/inlet.ts';
import { expectLongLines } from '../support/long-lines.ts';
import { RawClient } from '../support/raw-client.ts';
import { waitFor } from '../support/wait-for.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

const test = inletTest();

/** Starts an Inlet that is limited. Most tests end when it has answered, so nobody works for it. */
function start(
  config: QueueConfig,
  changes: Partial<Config>,
  limits: Partial<HttpLimits> = {},
  workers = 0,
): Promise<TestInlet> {
  const { databaseUrl } = config;
  return startInlet({ ...config, ...changes, databaseUrl }, { workers, parts: { limits } });
}

function rawClient({ url }: TestInlet): RawClient {
  const client = new RawClient(url);
  onTestFinished(() => client.close());
  return client;
}

const body = (bytes: number): string => `{"data":{"id":"a","v":"${'x'.repeat(bytes - 26)}"}}`;

function beginPost(server: TestInlet, announced: number, headers = {}): RawClient {
  return rawClient(server)
    .request('POST /v1/data/limits', {
      'content-type': 'application/json',
      'content-length': announced,
      ...headers,
    })
    .send('\r\n');
}

describe('the memory for bodies', () => {
  test('is shared by all bodies: what comes beyond gets 503, and what is there goes on', async ({
    config,
  }) => {
    const server = await start(config, { bodyLimit: 64 * KIB, bodyMemory: 64 * KIB });
    const text = body(60 * KIB);
    const first = beginPost(server, text.length).send(text.slice(0, -1));
    const refused = await waitFor('the memory to be used', async () => {
      const response = await server.post('limits', body(10 * KIB));
      return response.status === 503 && response;
    });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({
      code: 'unavailable',
      detail: expect.stringMatching(/memory/),
    });
    // What still fits is taken.
    expect((await server.post('limits', body(1 * KIB))).status).toBe(202);
    first.send(text.slice(-1));
    await waitFor('the first body to be taken', () => first.text.startsWith('HTTP/1.1 202'));
    expect((await server.post('limits', body(60 * KIB))).status).toBe(202);
  });

  test('is not used up by what is only announced', async ({ config }) => {
    const server = await start(config, { bodyLimit: 64 * KIB, bodyMemory: 64 * KIB });
    for (let i = 0; i < 100; i += 1) beginPost(server, 64 * KIB).send('{');
    await delay(50);
    expect((await server.post('limits', body(63 * KIB))).status).toBe(202);
  });

  test('is given back by clients that go away, and by what is refused', async ({ config }) => {
    const server = await start(config, { bodyLimit: 64 * KIB, bodyMemory: 64 * KIB });
    for (let i = 0; i < 20; i += 1) {
      const gone = beginPost(server, 60 * KIB).send(body(50 * KIB));
      await delay(5);
      gone.close();
      const mistakes = ['nonsense', body(65 * KIB), gzipSync(body(65 * KIB))];
      for (const [n, mistake] of mistakes.entries()) {
        const headers: Record<string, string> = n === 2 ? { 'content-encoding': 'gzip' } : {};
        const response = await server.post('limits', new Uint8Array(Buffer.from(mistake)), headers);
        expect([400, 413, 503]).toContain(response.status);
      }
    }
    await waitFor(
      'all memory to be given back',
      async () => (await server.post('limits', body(63 * KIB))).status === 202,
    );
  });

  test('takes the largest body of all, also compressed, where it is no larger than that', async ({
    config,
  }) => {
    const server = await start(config, { bodyLimit: 64 * KIB, bodyMemory: 64 * KIB });
    const largest = body(64 * KIB);
    expect((await server.post('limits', largest)).status).toBe(202);
    // Stored, not compressed: so it is larger than its content.
    const stored = new Uint8Array(gzipSync(largest, { level: 0 }));
    expect((await server.post('limits', stored, { 'content-encoding': 'gzip' })).status).toBe(202);
  });
});

describe('an answer that goes out before all of the body was read', () => {
  const LARGE = 8 * MIB;

  test.for([
    ['413', {}, { bodyLimit: 64 * KIB }],
    ['415', { 'content-type': 'text/plain' }, {}],
    ['415', { 'content-encoding': 'compress' }, {}],
    ['401', { authorization: 'Bearer nonsense' }, {}],
    ['503', {}, { bodyLimit: MIB, bodyMemory: MIB }],
  ] as const)(
    'reaches a client that sends all of it first (%s, %j)',
    async ([status, headers, changes], { config }) => {
      const server = await start(config, changes);
      if (status === '503') {
        const { socket } = beginPost(server, MIB).send(body(MIB).slice(1));
        await waitFor('the memory to be used', () => socket.writableLength === 0);
      }
      const announced = status === '503' ? MIB : LARGE;
      const client = beginPost(server, announced, headers);
      for (let sent = 0; sent < announced; sent += 64 * KIB) {
        client.send('x'.repeat(64 * KIB));
        await delay(1);
      }
      await waitFor('the answer', () => client.text !== '');
      expect(client.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      // All of it was read, so the connection can be used on.
      client.request('GET /healthz').send('\r\n');
      await waitFor('the next answer', () => client.text.includes('HTTP/1.1 200 '));
    },
  );

  test.for([
    ['stops sending', 0, { lingerMs: 60_000, lingerIdleMs: 100 }],
    ['never stops', 20, { lingerMs: 600, lingerIdleMs: 200 }],
  ] as const)(
    'is followed by the end of the connection where the client %s',
    async ([_, everyMs, limits], { config }) => {
      const server = await start(config, {}, limits);
      const started = performance.now();
      const client = rawClient(server)
        .request('GET /v1/data/limits', { 'content-length': LARGE })
        .send(`\r\n${'x'.repeat(10_000)}`);
      const timer = everyMs > 0 ? setInterval(() => client.send('x'), everyMs) : undefined;
      expect(await client.closed().finally(() => clearInterval(timer))).toMatch(/^HTTP\/1\.1 405 /);
      if (timer) expect(performance.now() - started).toBeGreaterThan(limits.lingerMs);
    },
  );
});

describe('uploads', () => {
  /** Sends the beginning of a file, and keeps the connection open. */
  async function beginUpload(server: TestInlet): Promise<RawClient> {
    const { requestId, upload_url } = await newImport(server, 'limits');
    const { pathname, search } = new URL(upload_url);
    const client = rawClient(server)
      .request(`PUT ${pathname}${search}`, { 'content-length': MIB })
      .send(`\r\n${lines(10)}`);
    await waitFor(
      'the upload to begin',
      async () => (await server.status('limits', requestId)).status === 'uploading',
    );
    return client;
  }

  test('may be so many at one time, and one more when one has ended', async ({ config }) => {
    const server = await start(config, {}, { uploads: 2 });
    const [first] = [await beginUpload(server), await beginUpload(server)];
    const { upload_url } = await newImport(server, 'limits');
    const response = await upload(upload_url, lines(1));
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('5');
    expect(await response.json()).toMatchObject({
      code: 'unavailable',
      detail: expect.stringMatching(/too many/),
    });
    first?.close();
    await waitFor('room for another', async () => (await upload(upload_url, lines(1))).status === 200);
  });

  test('take lines of many megabytes, many at the same time, in their order', async ({ config }) => {
    await expectLongLines(await start(config, { bodyLimit: 4 * MIB }, {}, 1), { files: 2, tooLong: 5 * MIB });
  });
});

describe('connections', () => {
  test('beyond the limit are refused with 503, and closed', async ({ config }) => {
    const server = await start(config, {}, { connections: 10 });
    const first = Array.from({ length: 10 }, () => rawClient(server).request('GET /healthz'));
    await waitFor('all to be connected', () => first.every(({ socket }) => !socket.connecting));
    const last = rawClient(server).request('GET /healthz').send('\r\n');
    const answer = await last.closed();
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
    expect(answer).toMatch(/\r\nretry-after: \d+\r\n/);
    for (const client of first) client.send('\r\n');
    for (const client of first) {
      await waitFor('an answer to each', () => client.text.startsWith('HTTP/1.1 200'));
    }
  });

  test('that nobody uses make room for others', async ({ config }) => {
    const server = await start(config, {}, { connections: 10 });
    const idle = Array.from({ length: 9 }, () => rawClient(server).request('GET /healthz').send('\r\n'));
    for (const client of idle) {
      await waitFor('an answer to each', () => client.text.startsWith('HTTP/1.1 200'));
    }
    const next = rawClient(server).request('GET /healthz').send('\r\n');
    await waitFor('an answer to the next', () => next.text.startsWith('HTTP/1.1 200'));
    await Promise.all(idle.map((client) => client.closed()));
    expect(next.isClosed).toBe(false);
  });
});
