/** What protects the server and its clients from others: headers for browsers, proxies, requests that are ambiguous. */
import { describe, expect, onTestFinished } from 'vitest';
import type { Config } from '../../src/config.ts';
import type { QueueConfig } from '../../src/runtime.ts';
import { inletTest, startInlet } from '../support/fixtures.ts';
import { largeDownload, newImport, upload, uploaded } from '../support/imports.ts';
import type { TestInlet } from '../support/inlet.ts';
import { keptLog } from '../support/log.ts';
import { RawClient } from '../support/raw-client.ts';
import { waitFor } from '../support/wait-for.ts';

const HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

const kept = keptLog();
const options = { apiLog: kept.log, parts: { limits: { headersMs: 300, headersCheckMs: 50 } } };

const test = inletTest(options);

/** Starts an Inlet with other settings. */
function start(config: QueueConfig, changes: Partial<Config>, workers = 0): Promise<TestInlet> {
  const { databaseUrl } = config;
  return startInlet({ ...config, ...changes, databaseUrl }, { ...options, workers });
}

function rawClient({ url }: TestInlet, from?: string): RawClient {
  const client = new RawClient(url, from);
  onTestFinished(() => client.close());
  return client;
}

/** The headers of an answer that came over a bare socket. */
function headersOf(answer: string): Headers {
  const [head = ''] = answer.split('\r\n\r\n');
  return new Headers(
    head
      .split('\r\n')
      .slice(1)
      .map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

describe('every answer has the headers that keep browsers from making anything of it', () => {
  function expectHeaders(headers: Headers, what: string): void {
    for (const [name, value] of Object.entries(HEADERS))
      expect(headers.get(name), `${name} of ${what}`).toBe(value);
    for (const name of ['x-powered-by', 'server', 'strict-transport-security']) {
      expect(headers.get(name), `${name} of ${what}`).toBeNull();
    }
    expect(headers.get('x-request-id'), what).toMatch(/^req_/);
  }

  test('whatever its status', async ({ config }) => {
    const server = await start(config, { bodyLimit: 1024 }, 1);
    const { requestId, upload_url } = await newImport(server, 'safe');
    await uploaded(upload_url, '{"id":"a"}\n');
    await server.done('safe', requestId);
    const urlPath = `/v1/data/safe/requests/${requestId}/results/download-url`;
    const { data_url } = (await (await server.fetch(urlPath)).json()) as { data_url: string };
    const answers: readonly (readonly [number, Promise<Response>])[] = [
      [202, server.post('safe', '{"data":{"id":"b"}}')],
      [200, server.fetch('/v1/data/safe/objects/a')],
      [200, server.fetch('/v1/data/safe/objects/a', { method: 'HEAD' })],
      [200, fetch(data_url)],
      [200, fetch(`${server.url}/healthz`)],
      [200, fetch(`${server.url}/readyz`)],
      [400, server.post('safe', 'nonsense')],
      [400, server.fetch('/v1/data/%zz/objects/a')],
      [401, fetch(`${server.url}/v1/data/safe/objects/a`)],
      [403, fetch(data_url.replace('signature=', 'signature=x'))],
      [404, server.fetch('/nothing')],
      [404, server.fetch('/v1/data/safe/objects/nothing')],
      [405, server.fetch('/v1/data/safe', { method: 'PUT', body: 'x' })],
      [409, upload(upload_url, 'x')],
      [413, server.post('safe', 'x'.repeat(2_000))],
      [415, server.post('safe', '{}', { 'content-type': 'text/plain' })],
    ];
    for (const [status, answer] of answers) {
      const { headers, ...response } = await answer.then((found) => ({
        headers: found.headers,
        status: found.status,
        url: found.url,
      }));
      expect(response.status, response.url).toBe(status);
      expectHeaders(headers, `${status} ${response.url}`);
    }
  });

  test.for([
    ['400', 'nonsense\r\n\r\n'],
    ['408', 'GET /healthz HTTP/1.1\r\nhost: x\r\n'],
    ['431', `GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`],
  ] as const)('also %s on the bare socket', async ([status, sent], { inlet }) => {
    const answer = await rawClient(inlet).send(sent).closed();
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expectHeaders(headersOf(answer), status);
  });

  test('but the pages have their own', async ({ inlet }) => {
    const { headers } = await fetch(`${inlet.url}/docs/`);
    expect(headers.get('content-security-policy')).toContain("script-src 'self'");
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-frame-options')).toBe('DENY');
  });

  test('and Strict-Transport-Security where clients come by https', async ({ config }) => {
    const server = await start(config, { publicUrl: 'https://inlet.example.com' });
    for (const path of ['/healthz', '/nothing']) {
      const { headers } = await fetch(server.url + path);
      expect(headers.get('strict-transport-security')).toBe('max-age=31536000');
    }
    const answer = await rawClient(server).send('nonsense\r\n\r\n').closed();
    expect(headersOf(answer).get('strict-transport-security')).toBe('max-age=31536000');
  });
});

describe('X-Forwarded-For', () => {
  /** The address that the log has of a request with that header. */
  async function clientOf(server: TestInlet, forwarded: string, from: string): Promise<unknown> {
    kept.lines.length = 0;
    const client = rawClient(server, from);
    client.request('GET /v1/data/safe/requests', { 'x-forwarded-for': forwarded }).send('\r\n');
    const line = await waitFor('the line about the request', () =>
      kept.lines.find(({ msg, route }) => msg === 'request' && String(route).endsWith('/requests')),
    );
    return line['client'];
  }

  // Only Linux has all of 127.0.0.0/8 without being told.
  const others = process.platform === 'linux';

  test('is believed from nobody by default', async ({ inlet }) => {
    expect(await clientOf(inlet, '203.0.113.9', '127.0.0.1')).toBe('127.0.0.1');
  });

  test.runIf(others)(
    'is believed from the proxies that are named, and from nobody else',
    async ({ config }) => {
      const server = await start(config, { trustProxy: ['127.0.0.2', '127.1.0.0/16'] });
      expect(await clientOf(server, '203.0.113.9', '127.0.0.2')).toBe('203.0.113.9');
      expect(await clientOf(server, '203.0.113.9', '127.1.2.3')).toBe('203.0.113.9');
      expect(await clientOf(server, '203.0.113.9', '127.0.0.1')).toBe('127.0.0.1');
      expect(await clientOf(server, '203.0.113.9', '127.2.0.1')).toBe('127.2.0.1');
    },
  );

  test.runIf(others)('is believed only as far as proxies have written it', async ({ config }) => {
    const server = await start(config, { trustProxy: ['127.0.0.2', '10.0.0.0/8'] });
    // The first is what the client has made up.
    expect(await clientOf(server, '1.1.1.1, 203.0.113.9, 10.0.0.5', '127.0.0.2')).toBe('203.0.113.9');
  });

  test('may be believed from a named range', async ({ config }) => {
    const server = await start(config, { trustProxy: ['loopback'] });
    expect(await clientOf(server, '203.0.113.9', '127.0.0.1')).toBe('203.0.113.9');
  });
});

describe('a request that a proxy could read otherwise is refused', () => {
  const smuggled = `GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n`;

  test.for([
    ['two lengths', 'content-length: 5\r\ncontent-length: 6\r\n', 'hello'],
    ['a length and chunks', `content-length: 5\r\ntransfer-encoding: chunked\r\n`, `0\r\n\r\n${smuggled}`],
    ['chunks and a length', `transfer-encoding: chunked\r\ncontent-length: 5\r\n`, `0\r\n\r\n${smuggled}`],
    ['a coding that is not known', 'transfer-encoding: xchunked\r\n', `0\r\n\r\n${smuggled}`],
    ['a coding after the chunks', 'transfer-encoding: chunked, gzip\r\n', `0\r\n\r\n${smuggled}`],
    ['a space before a colon', 'content-length : 5\r\n', 'hello'],
    ['a length that is no number', 'content-length: +5\r\n', 'hello'],
    ['a line that goes on', 'x: 1\r\n content-length: 5\r\n', smuggled],
    ['a null byte in a header', 'x: \0\r\n', ''],
    ['a chunk size that is none', 'transfer-encoding: chunked\r\n', `0x5\r\nhello\r\n0\r\n\r\n${smuggled}`],
  ] as const)('%s', async ([_, headers, body], { inlet }) => {
    const answer = await rawClient(inlet)
      .request('POST /v1/data/safe', { 'content-type': 'application/json' })
      .send(`${headers}\r\n${body}`)
      .closed();
    expect(answer).toMatch(/^HTTP\/1\.1 (?:400|408) /);
    // One answer, and the connection is closed: nothing of what follows was taken as a request.
    expect(answer.match(/HTTP\/1\.1 /g)).toHaveLength(1);
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
  });

  test('also behind another one, and its answer does not get into that of the other', async ({ inlet }) => {
    kept.lines.length = 0;
    const path = await largeDownload(inlet, 10);
    const client = rawClient(inlet).request(`GET ${path}`).send('\r\n');
    await waitFor('the answer', () => client.text !== '');
    client.socket.pause();
    client.send('nonsense\r\n\r\n');
    await waitFor('the download to be broken off', () => kept.lines.some(({ aborted }) => aborted));
    client.socket.resume();
    expect((await client.closed()).match(/HTTP\/1\.1 /g)).toHaveLength(1);
  });
});
