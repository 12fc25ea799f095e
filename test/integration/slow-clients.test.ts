/** Clients that send, or read, slowly or not at all: they are ended in time, and hold up nobody else. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { largeDownload, lines, newImport, uploaded } from '../support/imports.ts';
import { eventually, TestInlet, testConfig } from '../support/inlet.ts';
import { keptLog } from '../support/log.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { openProvider, whenConnected } from '../support/queues.ts';
import { RawClient } from '../support/raw-client.ts';

/** So many of each kind. */
const CROWD = 200;

const SHORT = {
  headersMs: 400,
  headersCheckMs: 50,
  bodyIdleMs: 400,
  bodyMs: 2_000,
  bodyBytesPerSecond: 1_000,
  uploadIdleMs: 400,
  stalledMs: 600,
  keepAliveMs: 500,
};

/**
 * Nothing but what is about readers: what they read has to be uploaded first, by a client that makes 30 MB of it on the same
 * machine. A busy one may also take longer than 600 ms to have the first page of a download.
 */
const SLOW_READERS = { stalledMs: 3_000 };

let databaseUrl: string;
let drop: () => Promise<void>;
let inlet: TestInlet | undefined;
let clients: RawClient[] = [];
const kept = keptLog();

beforeAll(async () => {
  const created = await createTestDatabase();
  databaseUrl = created.url;
  drop = created.drop;
});

afterEach(async () => {
  for (const client of clients) client.close();
  clients = [];
  await inlet?.close();
  inlet = undefined;
});

afterAll(() => drop?.());

async function start(limits = {}, workers = 1): Promise<TestInlet> {
  const config = testConfig({ databaseUrl, redisUrl: inject('redisUrl') ?? undefined });
  kept.lines.length = 0;
  inlet = await TestInlet.start(config, { workers, apiLog: kept.log, parts: { limits } });
  return inlet;
}

function crowd({ url }: TestInlet, begin: (client: RawClient) => void, count = CROWD): RawClient[] {
  const made = Array.from({ length: count }, () => new RawClient(url));
  for (const client of made) begin(client);
  clients.push(...made);
  return made;
}

const slowHeaders = (client: RawClient): unknown => client.request('POST /v1/data/slow');

/** Announces as much as a body may have, and sends little of it. */
const slowBody = (client: RawClient): unknown =>
  client
    .request('POST /v1/data/slow', { 'content-type': 'application/json', 'content-length': 10 * 1024 * 1024 })
    .send(`\r\n{"data":{"id":"slow","v":"${'x'.repeat(1_000)}`);

const idle = (client: RawClient): unknown => client.request('GET /healthz').send('\r\n');

/** Asks for more than all buffers between the two hold, and reads nothing. */
function deaf(path: string): (client: RawClient) => void {
  return (client) => {
    client.request(`GET ${path}`).send('\r\n');
    client.socket.pause();
  };
}

/** Sends writes over a few connections, and returns how long each took until its 202, in milliseconds. */
async function writeTimes(server: TestInlet, count: number): Promise<number[]> {
  const times: number[] = [];
  let left = count;
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const started = performance.now();
      await server.write('normal', `{"data":{"id":"n${left}"}}`);
      times.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: 8 }, one));
  return times;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

it(`${CROWD} slow connections of each kind don't hold up normal traffic`, async () => {
  const server = await start();
  const path = await largeDownload(server, 30);
  await writeTimes(server, 300);
  const alone = await writeTimes(server, 300);
  const slow = [slowHeaders, slowBody, idle, deaf(path)].flatMap((begin) => crowd(server, begin));
  const deafOnes = slow.slice(-CROWD);
  await eventually(async () => (deafOnes.every(({ socket }) => socket.bytesWritten > 0) ? true : undefined));
  const beside = await writeTimes(server, 300);
  expect(beside).toHaveLength(300);
  // They are all there all the time, and none has got what it waits for.
  expect(slow.filter(({ isClosed }) => isClosed)).toHaveLength(0);
  expect(median(beside)).toBeLessThan(5 * median(alone));
});

describe('what is too slow is ended', () => {
  /** The answer of each of a crowd, when all are closed. */
  function answers(server: TestInlet, begin: (client: RawClient) => void, count = CROWD): Promise<string[]> {
    return Promise.all(crowd(server, begin, count).map((client) => client.closed()));
  }

  function expectProblem(answer: string, detail: RegExp): void {
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(answer).toMatch(/\r\ncontent-type: application\/problem\+json/i);
    expect(answer).toMatch(/\r\nx-request-id: req_/i);
    expect(answer).toMatch(detail);
  }

  it('headers, also of those who never begin, with 408', async () => {
    const server = await start(SHORT);
    for (const begin of [slowHeaders, () => undefined]) {
      for (const answer of await answers(server, begin)) {
        expectProblem(answer, /the request took too long to arrive/);
      }
    }
  });

  it('bodies of which nothing comes any more, with 408', async () => {
    const server = await start({ ...SHORT, lingerIdleMs: 100 });
    for (const answer of await answers(server, slowBody)) {
      expectProblem(answer, /nothing of the body has come for 0\.4 seconds/);
    }
  });

  it.each([
    ['come slower than they must', 20, 'slower than 1000 bytes a second'],
    ['take longer than they may', 400, 'longer than 2 seconds'],
  ])('bodies that %s, however steadily, with 408', async (_, bytes, detail) => {
    const server = await start({ ...SHORT, lingerIdleMs: 100 });
    const slow = crowd(server, slowBody, 10);
    const timer = setInterval(() => {
      for (const client of slow) if (client.text === '') client.send('x'.repeat(bytes));
    }, 100);
    const all = await Promise.all(slow.map((client) => client.closed())).finally(() => clearInterval(timer));
    for (const answer of all) expectProblem(answer, new RegExp(detail));
  });

  it('connections that nobody uses', async () => {
    const server = await start(SHORT);
    for (const answer of await answers(server, idle)) expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('downloads that nobody reads', async () => {
    const server = await start(SLOW_READERS);
    const path = await largeDownload(server, 30);
    const deafOnes = crowd(server, deaf(path), 20);
    const brokenOff = () =>
      kept.lines.filter(({ route, aborted }) => aborted && String(route).endsWith('/download'));
    await eventually(async () => (brokenOff().length === deafOnes.length ? true : undefined));
    for (const client of deafOnes) client.socket.resume();
    for (const client of deafOnes) {
      const answer = await client.closed();
      expect(answer).toMatch(/^HTTP\/1\.1 200 /);
      // The last chunk is missing, so the client knows.
      expect(answer.endsWith('\r\n0\r\n\r\n')).toBe(false);
    }
  });

  it('but not a download that is read slowly', async () => {
    const server = await start(SLOW_READERS);
    const path = await largeDownload(server, 30);
    const client = new RawClient(server.url);
    clients.push(client);
    deaf(path)(client);
    // Each pause is shorter than the limit, and all together are longer.
    for (let i = 0; i < 5; i += 1) {
      await delay(SLOW_READERS.stalledMs / 2);
      const before = client.text.length;
      client.socket.resume();
      await eventually(async () => (client.text.length > before ? true : undefined));
      client.socket.pause();
    }
    client.socket.resume();
    await eventually(async () => (client.text.endsWith('\r\n0\r\n\r\n') ? true : undefined));
  });

  it('but not an upload that stands still because the queue is full', async () => {
    const server = await start(SHORT, 0);
    const queue = openProvider(server.config).openQueue();
    const { upload_url } = await newImport(server, 'still');
    const answer = uploaded(upload_url, lines(80_000));
    await eventually(async () =>
      (await whenConnected(() => queue.importBacklog())) >= 64 ? true : undefined,
    );
    await delay(3 * SHORT.stalledMs);
    await queue.close();
    await server.addWorker();
    expect(await answer).toMatchObject({ counts: { objects: 80_000 } });
  });
});
