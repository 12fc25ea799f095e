/** The contract of the HTTP side: authentication, errors, headers. Bad and unusual input is in the corpus. */
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect } from 'vitest';
import { inletTest } from '../support/fixtures.ts';
import type { ProblemAnswer } from '../support/inlet.ts';
import { KEY } from '../support/inlet.ts';

const REQUEST_ID = /^req_[0-7][0-9a-hjkmnp-tv-z]{25}$/;
const BODY_LIMIT = 64 * 1024;

const test = inletTest({ settings: { bodyLimit: BODY_LIMIT, maxObjects: 100 } });

async function problem(response: Response, status: number): Promise<ProblemAnswer> {
  const text = await response.text();
  expect(response.status, text).toBe(status);
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  const answer = JSON.parse(text) as ProblemAnswer;
  expect(answer.status).toBe(status);
  expect(answer.message).toBe(answer.detail);
  expect(answer.requestId).toMatch(REQUEST_ID);
  expect(response.headers.get('x-request-id')).toBe(answer.requestId);
  return answer;
}

describe('a write', () => {
  test('is answered with 202, its request id, and the same id in x-request-id', async ({ inlet }) => {
    const response = await inlet.post('http', '{"data":{"id":"a"}}');
    expect(response.status).toBe(202);
    const answer = (await response.json()) as { requestId: string; status: string };
    expect(answer).toEqual({ requestId: expect.stringMatching(REQUEST_ID), status: 'accepted' });
    expect(response.headers.get('x-request-id')).toBe(answer.requestId);
  });
});

describe('a body with many mistakes', () => {
  test('names at most 100 places and counts the rest', async ({ inlet }) => {
    const data = Array.from({ length: 100 }, () => ({ id: '', v: '\u0000' }));
    const answer = await problem(await inlet.post('http', JSON.stringify({ data })), 400);
    expect(answer.errors).toHaveLength(100);
    expect(answer.more_errors).toBe(100);
  });
});

describe('without a valid key', () => {
  test.for([
    ['no header', undefined],
    ['another scheme', 'Basic dXNlcjpwYXNz'],
    ['no key', 'Bearer'],
    ['two words', `Bearer ${KEY} x`],
    ['an unknown key', 'Bearer sk_unknown'],
    ['a key with one more character', `Bearer ${KEY}x`],
    ['a key with one less', `Bearer ${KEY.slice(0, -1)}`],
  ] as const)('%s gets 401', async ([_what, header], { inlet }) => {
    for (const [path, method] of [
      ['/v1/data/http', 'POST'],
      ['/v1/data/http/objects/a', 'GET'],
      ['/v1/data/http/requests/req_01h2m7qdmdjckc30e1mnq6xqfd', 'GET'],
    ] as const) {
      const response = await fetch(inlet.url + path, {
        method,
        ...(header ? { headers: { authorization: header } } : {}),
      });
      await problem(response, 401);
      expect(response.headers.get('www-authenticate')).toBe('Bearer');
    }
  });

  test('the scheme may be written in any case', async ({ inlet }) => {
    const headers = { authorization: `bearer ${KEY}` };
    expect(
      (await inlet.fetch('/v1/data/http', { method: 'POST', body: '{"data":{"id":"a"}}', headers })).status,
    ).toBe(202);
  });
});

test.for(['/', '/v1', '/v1/data', '/v1/data/a/b', '/v1/data/a/objects/b/c', '/v2/data/a'])(
  '%s gets 404',
  async (path, { inlet }) => {
    await problem(await inlet.fetch(path), 404);
  },
);

test.for([
  ['POST', '/nope', '{bad'],
  ['POST', '/nope', ''],
  ['POST', '/healthz', '{"__proto__":1}'],
  ['QUERY', '/v1/data/a', ''],
] as const)('%s %s with the body %j is refused like any other', async ([method, path, body], { inlet }) => {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(inlet.url + path, { method, headers, body });
  expect(response.status).toBeGreaterThanOrEqual(400);
  expect(response.status).toBeLessThan(500);
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
});

test.for([
  'req_01h2m7qdmdjckc30e1mnq6xqfd',
  'req_01H2M7QDMDJCKC30E1MNQ6XQFD',
  'req_x',
  'req_91h2m7qdmdjckc30e1mnq6xqfd',
])('request %s, which there is not, gets 404', async (requestId, { inlet }) => {
  await problem(await inlet.fetch(`/v1/data/http/requests/${requestId}`), 404);
});

test("another namespace's request gets 404", async ({ inlet }) => {
  const requestId = await inlet.write('mine', '{"data":{"id":"a"}}');
  await problem(await inlet.fetch(`/v1/data/yours/requests/${requestId}`), 404);
  await inlet.done('mine', requestId);
  await problem(await inlet.fetch(`/v1/data/yours/requests/${requestId}`), 404);
});

test.for(['unknown', '%00', 'x'.repeat(600)])(
  'object %.10s, which there is not, gets 404',
  async (id, { inlet }) => {
    await problem(await inlet.fetch(`/v1/data/http/objects/${id}`), 404);
  },
);

test.for([
  ['GET', '/v1/data/http', 'POST'],
  ['PUT', '/v1/data/http', 'POST'],
  ['DELETE', '/v1/data/http/requests/req_x', 'GET, HEAD'],
  ['POST', '/healthz', 'GET, HEAD'],
] as const)('%s %s gets 405 with Allow: %s', async ([method, path, allow], { inlet }) => {
  const response = await inlet.fetch(path, { method, ...(method === 'GET' ? {} : { body: 'x' }) });
  await problem(response, 405);
  expect(response.headers.get('allow')).toBe(allow);
});

describe('413', () => {
  const tooLarge = JSON.stringify({ data: { id: 'large', v: 'x'.repeat(BODY_LIMIT) } });

  test('for a body over the limit', async ({ inlet }) => {
    await problem(await inlet.post('http', tooLarge), 413);
  });

  test('for a body that is over the limit once it is decompressed', async ({ inlet }) => {
    const bomb = new Uint8Array(gzipSync(Buffer.alloc(10 * 1024 * 1024)));
    expect(bomb.length).toBeLessThan(BODY_LIMIT);
    await problem(await inlet.post('http', bomb, { 'content-encoding': 'gzip' }), 413);
  });

  test('for a body that is exactly one byte over, not for one that just fits', async ({ inlet }) => {
    const empty = JSON.stringify({ data: { id: 'fits', v: '' } }).length;
    const fits = JSON.stringify({ data: { id: 'fits', v: 'x'.repeat(BODY_LIMIT - empty) } });
    expect((await inlet.post('http', fits)).status).toBe(202);
    await problem(await inlet.post('http', `${fits} `), 413);
  });

  test('for more objects than are allowed', async ({ inlet }) => {
    const data = Array.from({ length: 101 }, (_, i) => ({ id: `o${i}` }));
    await problem(await inlet.post('http', JSON.stringify({ data })), 413);
  });
});

test('what is not HTTP gets 400 and the connection is closed', async ({ inlet }) => {
  const { hostname, port } = new URL(inlet.url);
  const answer = await new Promise<string>((resolve, reject) => {
    let text = '';
    const socket = connect(Number(port), hostname, () => socket.write('nonsense\r\n\r\n'));
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(answer).toContain('application/problem+json');
});

describe('health', () => {
  test('/healthz and /readyz need no key and name each part', async ({ inlet }) => {
    const health = await fetch(`${inlet.url}/healthz`);
    expect(health.status).toBe(200);
    const ready = await fetch(`${inlet.url}/readyz`);
    expect(ready.status).toBe(200);
    expect(await ready.json()).toMatchObject({ queue: 'up', store: 'up' });
  });
});
