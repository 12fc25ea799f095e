/** Clients that end their side early, speak HTTP/1.0, pipeline, wait to be told to go on, or come in too large a number. */
import { describe, expect, onTestFinished } from 'vitest';
import { inletTest, startInlet } from '../support/fixtures.ts';
import { largeDownload } from '../support/imports.ts';
import type { TestInlet } from '../support/inlet.ts';
import { KEY } from '../support/inlet.ts';
import { keptLog } from '../support/log.ts';
import { RawClient } from '../support/raw-client.ts';
import { waitFor } from '../support/wait-for.ts';

const BODY_LIMIT = 64 * 1024;

const kept = keptLog();
const test = inletTest({ settings: { bodyLimit: BODY_LIMIT }, apiLog: kept.log });

function connected({ url }: TestInlet): RawClient {
  const client = new RawClient(url);
  onTestFinished(() => client.close());
  return client;
}

function write(client: RawClient, id: string, headers: Record<string, string | number> = {}): RawClient {
  const body = `{"data":{"id":"${id}"}}`;
  const all = { 'content-type': 'application/json', 'content-length': body.length, ...headers };
  return client.request('POST /v1/data/rude', all).send(`\r\n${body}`);
}

/** Ends its side, and reads on. */
function halfClose({ socket }: RawClient): void {
  socket.end();
}

/** The status of each answer, when the server has closed the connection. */
async function statuses(client: RawClient): Promise<number[]> {
  return [...(await client.closed()).matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status));
}

/** The lines of the log about requests that a test has made. */
function lines(): readonly Record<string, unknown>[] {
  return kept.lines.filter(({ msg }) => msg === 'request');
}

describe('a client that has ended its side', () => {
  test('gets its answer', async ({ inlet }) => {
    kept.lines.length = 0;
    const client = connected(inlet);
    halfClose(write(client, 'a'));
    expect(await statuses(client)).toEqual([202]);
    expect(lines()).toMatchObject([{ method: 'POST', status: 202 }]);
    expect(lines()[0]).not.toHaveProperty('aborted');
  });

  test('gets all answers to requests that it has pipelined', async ({ inlet }) => {
    const client = connected(inlet);
    for (let i = 0; i < 20; i += 1) write(client, `p${i}`);
    client.request('GET /healthz').send('\r\n');
    halfClose(client);
    expect(await statuses(client)).toEqual([...Array.from({ length: 20 }, () => 202), 200]);
  });

  test('gets all of a download', async ({ inlet }) => {
    const path = await largeDownload(inlet, 1);
    const client = connected(inlet).request(`GET ${path}`).send('\r\n');
    halfClose(client);
    expect((await client.closed()).endsWith('\r\n0\r\n\r\n')).toBe(true);
  });

  test('in the middle of a body is told so, and has one line in the log', async ({ inlet }) => {
    kept.lines.length = 0;
    const client = write(connected(inlet), 'half', { 'content-length': 100 });
    halfClose(client);
    const answer = await client.closed();
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toContain('the connection ended in the middle of the request');
    const [line] = await waitFor('the line', () => lines().length > 0 && lines());
    expect(line).toMatchObject({ method: 'POST', route: '/v1/data/:namespace', status: 400 });
    expect(answer).toContain(`x-request-id: ${line?.['requestId']}\r\n`);
    expect(lines()).toHaveLength(1);
  });
});

test.for<[string, string, boolean]>([
  ['a mistake', 'nonsense\r\n\r\n', false],
  ['a request that breaks off', 'POST /v1/data/rude HTTP/1.1\r\n', true],
])('%s behind pipelined writes is answered after them', async ([, last, breaksOff], { inlet }) => {
  const client = connected(inlet);
  for (let i = 0; i < 3; i += 1) write(client, `q${i}`);
  client.send(last);
  if (breaksOff) halfClose(client);
  expect(await statuses(client)).toEqual([202, 202, 202, 400]);
});

describe('Expect: 100-continue', () => {
  const expecting = { expect: '100-continue' };

  test.for([
    ['a body over the limit', { 'content-length': BODY_LIMIT + 1 }, 413],
    ['a key that is not known', { authorization: 'Bearer nobody' }, 401],
    ['a media type that is not served', { 'content-type': 'text/plain' }, 415],
  ] as const)('%s is refused at once', async ([_, headers, status], { inlet }) => {
    kept.lines.length = 0;
    const client = connected(inlet);
    const all = { 'content-type': 'application/json', 'content-length': 5, ...expecting, ...headers };
    client.request('POST /v1/data/rude', all).send('\r\n');
    await waitFor('the answer', () => client.text.includes('"requestId"'));
    expect(client.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(client.text).toMatch(/\r\nconnection: close\r\n/i);
    halfClose(client);
    await client.closed();
    expect(lines()).toMatchObject([{ method: 'POST', status }]);
  });

  test('a body that is wanted is asked for', async ({ inlet }) => {
    const body = '{"data":{"id":"e"}}';
    const client = connected(inlet);
    const headers = { 'content-type': 'application/json', 'content-length': body.length, ...expecting };
    client.request('POST /v1/data/rude', headers).send('\r\n');
    await waitFor('to be told to go on', () => client.text === 'HTTP/1.1 100 Continue\r\n\r\n');
    write(client.send(body), 'f', { connection: 'close' });
    expect(await statuses(client)).toEqual([100, 202, 202]);
  });
});

describe('HTTP/1.0, without a Host', () => {
  const body = '{"data":{"id":"old"}}';
  const head = (...more: string[]) =>
    ['POST /v1/data/rude HTTP/1.0', `authorization: Bearer ${KEY}`, 'content-type: application/json', ...more]
      .map((line) => `${line}\r\n`)
      .join('');

  test.for([
    ['is answered, and the connection closed', `${head(`content-length: ${body.length}`)}\r\n${body}`, [202]],
    [
      'keeps the connection where it asks for that',
      `${head('connection: keep-alive', `content-length: ${body.length}`)}\r\n${body}`.repeat(2) +
        `${head(`content-length: ${body.length}`)}\r\n${body}`,
      [202, 202, 202],
    ],
    ['with a body of unknown length is refused', `${head()}\r\n`, [400]],
  ] as const)('%s', async ([_, sent, expected], { inlet }) => {
    expect(await statuses(connected(inlet).send(sent))).toEqual(expected);
  });
});

test.for(['close', 'keep-alive'])(
  'a client that sends all of a body over the limit gets to see its answer (Connection: %s)',
  async (connection, { inlet }) => {
    const client = connected(inlet);
    const length = 20 * 1024 * 1024;
    const headers = { 'content-type': 'application/json', 'content-length': length, connection };
    client.request('POST /v1/data/rude', headers).send('\r\n');
    const failed: Error[] = [];
    client.socket.on('error', (error) => failed.push(error));
    await new Promise((resolve) => client.socket.end(Buffer.alloc(length, 'x'), () => resolve(undefined)));
    expect(await statuses(client)).toEqual([413]);
    expect(failed).toEqual([]);
  },
);

test('connections over which nothing comes make room for others', async ({ config }) => {
  const inlet = await startInlet(config, { workers: 0, parts: { limits: { connections: 5 } } });
  const silent = Array.from({ length: 5 }, () => connected(inlet));
  await waitFor('all to be connected', () => silent.every(({ socket }) => !socket.connecting));
  await waitFor('a place', async () => {
    const client = connected(inlet).request('GET /healthz', { connection: 'close' }).send('\r\n');
    return (await statuses(client))[0] === 200;
  });
  // Long before their headers are late.
  expect(silent.every(({ text }) => text === '')).toBe(true);
});
