/** The API as the commands call it: whom they tell which key, and what they say where no Inlet answers. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { call, clientOptions } from '../../src/commands/client.ts';

let folder: string;
let server: Server;
let requests: IncomingMessage[];
/** What the server answers. */
let answer: { readonly status: number; readonly body: string };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inlet-client-'));
  await writeFile(join(folder, 'api-key'), 'kept\n');
  requests = [];
  answer = { status: 200, body: '{}' };
  server = createServer((request, response) => {
    requests.push(request);
    response.writeHead(answer.status).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true });
});

const url = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

describe('the key that is kept in the data folder', () => {
  const NOWHERE = 'is never sent to another machine';

  it.each([
    'http://127.0.0.1:8080',
    'http://127.1.2.3',
    'http://0x7f.1:8080',
    'http://localhost:8080/',
    'https://LOCALHOST',
    'http://[::1]:8080',
  ])('is for this machine: %s', async (base) => {
    const environment = { INLET_DATA_DIR: folder };
    expect(await clientOptions(base, environment)).toMatchObject({ key: 'kept' });
    expect(await clientOptions(undefined, { ...environment, INLET_URL: base })).toMatchObject({
      key: 'kept',
    });
  });

  it.each([
    'https://receiver.example/hooks',
    'http://10.0.0.1:8080',
    'http://[2001:db8::1]/',
    'http://127.0.0.1@receiver.example/',
    'http://127.0.0.1:8080@receiver.example/',
    'http://127.0.0.1.receiver.example/',
    'http://localhost.receiver.example/',
    'http://api:8080',
    'http://0.0.0.0:8080',
  ])('is for no other: %s', async (base) => {
    const environment = { INLET_DATA_DIR: folder };
    await expect(clientOptions(base, environment)).rejects.toThrow(NOWHERE);
    await expect(clientOptions(undefined, { ...environment, INLET_URL: base })).rejects.toThrow(NOWHERE);
    const named = await clientOptions(base, { ...environment, INLET_API_KEY: 'named' });
    expect(named.key).toBe('named');
  });

  it('is for no other where PORT names a host', async () => {
    const environment = { INLET_DATA_DIR: folder, PORT: '80@receiver.example' };
    await expect(clientOptions(undefined, environment)).rejects.toThrow(NOWHERE);
  });

  it('does not go along where the server sends the call on to another', async () => {
    const elsewhere: IncomingMessage[] = [];
    const other = createServer((request, response) => {
      elsewhere.push(request);
      response.end('{}');
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const location = `http://127.0.0.1:${(other.address() as AddressInfo).port}/`;
    server.removeAllListeners('request');
    server.on('request', (_, response) => response.writeHead(307, { location }).end());
    try {
      await call(await clientOptions(url(), { INLET_DATA_DIR: folder }), 'GET', '/v1/x');
      expect(elsewhere.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    } finally {
      other.closeAllConnections();
      await new Promise((resolve) => other.close(resolve));
    }
  });
});

describe('what answers and is no Inlet', () => {
  const get = () => call({ url: url(), key: 'k' }, 'GET', '/v1/x');

  it.each([
    [404, '', /^the server answered 404: what answers at http:\/\/127.0.0.1:\d+ doesn't look like Inlet/],
    [404, '{"detail": 7}', /^the server answered 404: \{"detail": 7\} \(what answers at .* look like Inlet/],
    [404, 'null', /^the server answered 404: null \(what answers/],
    [403, '<h1>\n\u001b[31mno</h1>', /^the server answered 403: <h1> \\u001b\[31mno<\/h1> \(what answers/],
    [200, '<html>', /^the server answered 200: <html> \(what answers/],
  ])('is said to be none, once: %i %j', async (status, body, message) => {
    answer = { status, body };
    await expect(get()).rejects.toThrow(message);
    await expect(get()).rejects.toThrow('(--url, INLET_URL)');
    expect(requests).toHaveLength(2);
  });

  it('is not said of an answer with a reason', async () => {
    answer = { status: 404, body: '{"detail": "there is no such endpoint"}' };
    await expect(get()).rejects.toThrow(/^the server answered 404: there is no such endpoint$/);
  });
});

it('says where to look when nothing answers', async () => {
  const gone = url();
  await new Promise((resolve) => server.close(resolve));
  // It tries for 15 seconds.
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  const called = call({ url: gone, key: 'k' }, 'GET', '/v1/x').finally(() => vi.useRealTimers());
  called.catch(() => undefined);
  while (vi.isFakeTimers()) {
    await vi.advanceTimersByTimeAsync(1_000);
    await new Promise(setImmediate);
  }
  await expect(called).rejects.toThrow(
    /^Cannot reach http:\/\/127.0.0.1:\d+: connect ECONNREFUSED 127.0.0.1:\d+\. .*--url, INLET_URL or, on this machine, PORT/,
  );
  server.listen(0);
});
