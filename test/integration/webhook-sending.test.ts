/** One attempt to send a webhook, to receivers of every kind: what is made of what comes back, and where none is made. */
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import type { Server } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { createAddressCheck } from '../../src/webhooks/addresses.ts';
import { createResolver } from '../../src/webhooks/resolve.ts';
import type { SenderOptions } from '../../src/webhooks/send.ts';
import { createSender } from '../../src/webhooks/send.ts';
import { makeCertificate } from '../support/certificate.ts';
import { answering, Receiver, startReceiver } from '../support/receiver.ts';
import { waitFor } from '../support/wait-for.ts';

const LOOPBACK: LookupAddress = { address: '127.0.0.1', family: 4 };
const PUBLIC: LookupAddress = { address: '192.0.2.1', family: 4 };

/** A sender that may send to this machine, and can be set up otherwise. */
function sender(overrides: Partial<SenderOptions> = {}) {
  const made = createSender({
    isAllowed: createAddressCheck(['127.0.0.0/8']),
    allowHttp: true,
    resolve: createResolver(),
    userAgent: 'Inlet/test',
    ...overrides,
  });
  onTestFinished(() => made.close());
  const breakOff = new AbortController();
  return {
    breakOff,
    send: (url: string) =>
      made.send({ url, headers: { 'webhook-id': 'msg_1' }, body: Buffer.from('{}') }, breakOff.signal),
  };
}

/** Whatever listens and speaks no HTTP. */
async function listen(onConnection: Parameters<typeof createServer>[1]): Promise<Server & { url: string }> {
  const server = createServer(onConnection);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return Object.assign(server, { url: `http://127.0.0.1:${(server.address() as { port: number }).port}/` });
}

describe('an answer', () => {
  it.each([200, 201, 204, 299])('with the status %i is a success', async (status) => {
    const receiver = await startReceiver(answering(status));
    expect(await sender().send(receiver.url)).toMatchObject({
      ...{ outcome: 'succeeded', statusCode: status, error: null },
      // There is none with a 204.
      response: status === 204 ? '' : `answer ${status}`,
    });
  });

  it.each([
    [400, 'rejected'],
    [404, 'rejected'],
    [410, 'gone'],
    [429, 'throttled'],
    [500, 'rejected'],
    [503, 'rejected'],
  ])('with the status %i is a failure: %s', async (status, outcome) => {
    const receiver = await startReceiver(answering(status));
    expect(await sender().send(receiver.url)).toMatchObject({
      ...{ outcome, statusCode: status, response: `answer ${status}` },
      error: `the receiver has answered ${status}`,
    });
  });

  it.each([301, 302, 303, 307, 308])('with the status %i leads nowhere', async (status) => {
    const target = await startReceiver();
    const receiver = await startReceiver(answering(status, { location: `${target.url}&secret=1` }));
    const attempt = await sender().send(receiver.url);
    expect(attempt).toMatchObject({ outcome: 'redirected', statusCode: status });
    expect(attempt?.error).toContain('redirect');
    expect(attempt?.error).not.toContain('secret');
    expect(target.connections).toBe(0);
  });

  it('of 10 MB is read no further than needed, and its beginning kept', async () => {
    let written = 0;
    const receiver = await startReceiver((response) => {
      response.writeHead(200);
      const chunk = Buffer.alloc(65_536, 'é');
      const write = (): void => {
        while (written < 10_000_000 && !response.destroyed) {
          written += chunk.length;
          if (!response.write(chunk)) {
            response.once('drain', write);
            return;
          }
        }
        response.end();
      };
      write();
    });
    const attempt = await sender().send(receiver.url);
    expect(attempt).toMatchObject({ outcome: 'succeeded', response: 'é'.repeat(512) });
    expect(written).toBeLessThan(10_000_000);
  });

  it('is kept as text that Postgres can hold, and no character cut in two', async () => {
    const receiver = await startReceiver((response) => {
      response.end(Buffer.concat([Buffer.from('a\0b'), Buffer.from([0xff]), Buffer.from('€'.repeat(1_000))]));
    });
    const attempt = await sender().send(receiver.url);
    expect(attempt?.response).toBe(`a\uFFFDb\uFFFD${'€'.repeat(340)}`);
  });

  it('that never ends has succeeded all the same, when its time is over', async () => {
    const receiver = await startReceiver((response) => {
      response.writeHead(200).write('so far');
    });
    expect(await sender({ timeoutMs: 500 }).send(receiver.url)).toMatchObject({
      ...{ outcome: 'succeeded', response: 'so far', error: null },
    });
  });

  it('with headers that are too large is none', async () => {
    const receiver = await startReceiver(answering(200, { 'x-large': 'x'.repeat(40_000) }));
    expect(await sender().send(receiver.url)).toMatchObject({
      ...{ outcome: 'unreachable', statusCode: null, error: "the answer's headers are too large" },
    });
  });
});

describe('no answer', () => {
  it('in time is a timeout', async () => {
    const receiver = await startReceiver(() => undefined);
    const started = performance.now();
    expect(await sender({ timeoutMs: 500 }).send(receiver.url)).toMatchObject({
      ...{ outcome: 'timeout', statusCode: null, response: '', error: 'no answer within 0.5 s' },
    });
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it('is said why: nobody listens', async () => {
    const attempt = await sender().send(`http://127.0.0.1:${await freePort()}/`);
    expect(attempt).toMatchObject({ outcome: 'unreachable', error: 'the connection was refused' });
  });

  it('is said why: the connection is closed', async () => {
    const { url } = await listen((socket) => socket.once('data', () => socket.end()));
    const attempt = await sender().send(url);
    expect(attempt).toMatchObject({ outcome: 'unreachable' });
    expect(attempt?.error).toMatch(/connection was closed|connection was reset/);
  });

  it('is said why: no HTTP comes back', async () => {
    const { url } = await listen((socket) => socket.once('data', () => socket.end('SSH-2.0-OpenSSH_9\r\n')));
    expect(await sender().send(url)).toMatchObject({ outcome: 'unreachable', response: '' });
  });

  it('is said why: the name has no address', async () => {
    const resolve = async () => {
      throw Object.assign(new Error('queryA ENOTFOUND no.example'), { code: 'ENOTFOUND' });
    };
    const attempt = await sender({ resolve }).send('http://no.example/');
    expect(attempt).toMatchObject({ outcome: 'unreachable', error: 'the name has no address' });
  });

  it('is nothing at all where the attempt was broken off', async () => {
    const receiver = await startReceiver(() => undefined);
    const { send, breakOff } = sender();
    const attempt = send(receiver.url);
    await waitFor('the webhook', () => receiver.received.length === 1);
    breakOff.abort();
    expect(await attempt).toBeUndefined();
    expect(await send(receiver.url)).toBeUndefined();
  });
});

describe('https', () => {
  const certificate = makeCertificate('hooks.example');
  const resolve = async () => [LOOPBACK];

  it('is spoken with a receiver whose certificate is good for its name', async () => {
    const receiver = await startReceiver(undefined, certificate);
    const { send } = sender({ allowHttp: false, ca: certificate.cert, resolve });
    expect(await send(receiver.urlFor('hooks.example'))).toMatchObject({ outcome: 'succeeded' });
    expect(await send(receiver.url)).toMatchObject({ outcome: 'succeeded' });
  });

  it('is not spoken with one whose certificate is for another name, or is not trusted', async () => {
    const receiver = await startReceiver(undefined, certificate);
    const other = await sender({ ca: certificate.cert, resolve }).send(receiver.urlFor('other.example'));
    expect(other).toMatchObject({ outcome: 'unreachable', error: 'the certificate is for another name' });
    const unknown = await sender({ resolve }).send(receiver.urlFor('hooks.example'));
    expect(unknown).toMatchObject({ outcome: 'unreachable' });
    expect(unknown?.error).toContain('the certificate is not trusted');
    expect(receiver.received).toEqual([]);
  });

  it('is a must unless http: is allowed', async () => {
    const receiver = await startReceiver();
    expect(await sender({ allowHttp: false }).send(receiver.url)).toMatchObject({
      ...{ outcome: 'address_refused', error: 'the URL is not https:' },
    });
    expect(receiver.connections).toBe(0);
  });
});

describe('an address that webhooks may not be sent to', () => {
  const isAllowed = createAddressCheck(undefined);
  const test = it.extend(
    'receiver', // biome-ignore lint/correctness/noEmptyPattern: vitest wants to be told that it needs nothing
    async ({}, { onCleanup }) => {
      const receiver = await Receiver.start();
      onCleanup(() => receiver.close());
      return receiver;
    },
  );

  test.afterEach(({ receiver }) => {
    expect(receiver.connections).toBe(0);
  });

  test.for([
    '127.0.0.1',
    '0x7f.1',
    '2130706433',
    '127.1',
    '0',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
  ])('is not connected to where the URL has it: %s', async (host, { receiver }) => {
    const attempt = await sender({ isAllowed }).send(receiver.urlFor(host));
    expect(attempt).toMatchObject({ outcome: 'address_refused', statusCode: null });
    expect(attempt?.error).not.toMatch(/127|::/);
  });

  test.for(['localhost', 'LOCALHOST'])(
    'is not connected to under the name %s',
    async (host, { receiver }) => {
      expect(await sender({ isAllowed }).send(receiver.urlFor(host))).toMatchObject({
        outcome: 'address_refused',
      });
    },
  );

  test('is not connected to under a name that has it among others', async ({ receiver }) => {
    const resolve = async () => [LOOPBACK, { address: '::1', family: 6 }];
    expect(await sender({ isAllowed, resolve }).send(receiver.urlFor('both.example'))).toMatchObject({
      outcome: 'address_refused',
    });
    // The other one is, where nobody answers.
    const withPublic = sender({
      isAllowed: (address) => address === PUBLIC.address,
      resolve: async () => [LOOPBACK, PUBLIC],
      timeoutMs: 300,
    });
    const attempt = await withPublic.send(receiver.urlFor('mixed.example'));
    expect(['timeout', 'unreachable']).toContain(attempt?.outcome);
  });

  test('is not connected to under a name that is rebound: what was checked is what is connected to', async ({
    receiver,
  }) => {
    // As a name server of an attacker answers: first an address that is allowed, from then on this machine's.
    let asked = 0;
    const resolve = async () => {
      asked += 1;
      return [asked === 1 ? PUBLIC : LOOPBACK];
    };
    const { send } = sender({
      isAllowed: (address) => address === PUBLIC.address,
      resolve,
      timeoutMs: 300,
    });
    const first = await send(receiver.urlFor('rebound.example'));
    expect(['timeout', 'unreachable']).toContain(first?.outcome);
    expect(asked).toBe(1);
    expect(await send(receiver.urlFor('rebound.example'))).toMatchObject({ outcome: 'address_refused' });
    expect(asked).toBe(2);
  });

  test('is not connected to where it comes behind a redirect', async ({ receiver }) => {
    const first = await startReceiver(answering(307, { location: receiver.url }));
    const { send } = sender({ isAllowed: createAddressCheck(['127.0.0.0/8']) });
    expect(await send(first.url)).toMatchObject({ outcome: 'redirected' });
  });
});

it('a connection that leads elsewhere than it was checked for is given up', async () => {
  const receiver = await startReceiver();
  // Allowed when asked for the name, and no longer when the connection is there.
  let checks = 0;
  const isAllowed = (): boolean => {
    checks += 1;
    return checks === 1;
  };
  const { send } = sender({ isAllowed, resolve: async () => [LOOPBACK] });
  expect(await send(receiver.urlFor('name.example'))).toMatchObject({ outcome: 'address_refused' });
  expect(receiver.received).toEqual([]);
});

it('no proxy is taken from the environment', async () => {
  const proxy = await startReceiver();
  const receiver = await startReceiver();
  const variables = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY'];
  const before = variables.map((name) => process.env[name]);
  for (const name of variables) process.env[name] = proxy.url;
  onTestFinished(() => {
    variables.forEach((name, i) => {
      if (before[i] === undefined) delete process.env[name];
      else process.env[name] = before[i];
    });
  });
  expect(await sender().send(receiver.url)).toMatchObject({ outcome: 'succeeded' });
  expect(proxy.connections).toBe(0);
});
