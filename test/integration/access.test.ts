/** What a key may do: scopes and namespaces on every route, and guessing. */
import { describe, expect } from 'vitest';
import { createApiKey } from '../../src/domain/api-key.ts';
import { inletTest, startInlet } from '../support/fixtures.ts';
import type { ProblemAnswer, TestInlet } from '../support/inlet.ts';
import { KEY } from '../support/inlet.ts';
import type { MadeKey } from '../support/keys.ts';
import { bearer, makeKey } from '../support/keys.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

/** A request of which nothing is left but failed objects. */
const FAILED = 'req_01h2m7qdmdjckc30e1mnq6x000';

const test = inletTest()
  .extend('keys', { scope: 'file' }, async ({ databaseUrl, inlet }) => {
    const [reader, writer, admin, elsewhere] = await Promise.all([
      makeKey(databaseUrl, '--namespaces', 'mine,also', '--scopes', 'read'),
      makeKey(databaseUrl, '--namespaces', 'mine', '--scopes', 'write'),
      makeKey(databaseUrl, '--scopes', 'admin'),
      makeKey(databaseUrl, '--namespaces', 'theirs', '--scopes', 'read,write,admin'),
    ]);
    for (const key of [reader, writer, admin, elsewhere]) {
      const isKnown = async () => (await call(inlet, 'GET', '/v1/data/x/objects', key)).status !== 401;
      await waitFor('the key to be known', isKnown);
    }
    return { reader, writer, admin, elsewhere };
  })
  .extend('requestId', { scope: 'file' }, async ({ databaseUrl, inlet }) => {
    const requestId = await inlet.write('mine', '{"data":{"id":"a"}}');
    await inlet.done('mine', requestId);
    await query(
      databaseUrl,
      `INSERT INTO inlet.failed_objects (request_id, index, namespace, id, object, sqlstate, message, accepted_at)
       SELECT '${FAILED}', i, 'mine', 'f', '{"id":"f"}', '23514', 'm', now() FROM generate_series(5, 7) AS i`,
    );
    return requestId;
  });

function call(
  inlet: TestInlet,
  method: string,
  path: string,
  key: MadeKey,
  body?: string,
): Promise<Response> {
  const type = body === undefined ? {} : { 'content-type': 'application/json' };
  return fetch(inlet.url + path, {
    method,
    headers: { ...bearer(key), ...type },
    ...(body === undefined ? {} : { body }),
  });
}

/** Every call with a key: method, path, the scope that it needs, and what a key of another namespace is told. */
const CALLS: readonly [
  method: string,
  rest: string,
  scope: 'read' | 'write',
  foreign: number,
  body?: string,
][] = [
  ['POST', '', 'write', 403, '{"data":{"id":"b"}}'],
  ['GET', '/objects', 'read', 403],
  ['GET', '/objects?id=a', 'read', 403],
  ['GET', '/objects/a', 'read', 403],
  ['HEAD', '/objects/a', 'read', 403],
  ['GET', '/objects/a/revisions', 'read', 403],
  ['DELETE', '/objects/b', 'write', 403],
  ['GET', '/failed', 'read', 404],
  ['GET', '/failed/FAILED/5', 'read', 404],
  ['HEAD', '/failed/FAILED/5', 'read', 404],
  ['DELETE', '/failed/FAILED/6', 'write', 404],
  ['POST', '/failed/FAILED/7/replay', 'write', 404],
  ['POST', '/failed/replay', 'write', 404, '{"order":"now"}'],
  ['POST', '/failed/discard', 'write', 404, '{"all":true}'],
  ['GET', '/requests', 'read', 404],
  ['GET', '/requests/REQUEST', 'read', 404],
  ['GET', '/requests/REQUEST/results/download-url', 'read', 404],
  ['POST', '/requests/upload-url', 'write', 404],
  ['POST', '/import', 'write', 404],
  ['PUT', '/settings', 'write', 403, '{"schema":{}}'],
  ['GET', '/settings', 'read', 403],
];

describe.each(CALLS)('%s /v1/data/{namespace}%s', (method, rest, scope, foreign, body) => {
  const path = (namespace: string, requestId: string) =>
    `/v1/data/${namespace}${rest.replace('REQUEST', requestId).replace('FAILED', FAILED)}`;

  test(`needs the scope ${scope}`, async ({ inlet, keys, requestId }) => {
    const { reader, writer, admin } = keys;
    const [right, wrong] = scope === 'read' ? [reader, writer] : [writer, reader];
    expect((await call(inlet, method, path('mine', requestId), right, body)).status).toBeLessThan(300);
    for (const key of [wrong, admin]) {
      const refused = await call(inlet, method, path('mine', requestId), key, body);
      expect(refused.status).toBe(403);
      if (method !== 'HEAD')
        expect(((await refused.json()) as ProblemAnswer).detail).toContain(`needs ${scope}`);
    }
  });

  test(`is answered with ${foreign} where the key can't see the namespace`, async ({
    inlet,
    keys,
    requestId,
  }) => {
    expect((await call(inlet, method, path('mine', requestId), keys.elsewhere, body)).status).toBe(foreign);
  });
});

test("another's request looks like one that there isn't", async ({ inlet, keys, requestId }) => {
  const unknown = 'req_01h2m7qdmdjckc30e1mnq6xqfd';
  const answers = await Promise.all(
    [`mine/requests/${requestId}`, `mine/requests/${unknown}`, `theirs/requests/${unknown}`].map(
      async (path) => {
        const response = await call(inlet, 'GET', `/v1/data/${path}`, keys.elsewhere);
        const { requestId: _, ...answer } = (await response.json()) as ProblemAnswer;
        return answer;
      },
    ),
  );
  expect(answers[0]).toEqual(answers[1]);
  expect(answers[0]).toEqual(answers[2]);
});

describe('keys that are not right', () => {
  test.for([
    ['revoked or of another server', () => createApiKey(), /revoked/],
    ['mistyped', () => `${createApiKey().slice(0, -1)}_`, /mistyped/],
  ] as const)('%s: the answer says which', async ([_what, key, detail], { inlet }) => {
    const response = await call(inlet, 'GET', '/v1/data/mine/objects', { id: '', key: key() });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    expect(((await response.json()) as ProblemAnswer).detail).toMatch(detail);
  });
});

test('an address that guesses keys is slowed down, and whoever shares it with a key goes on', async ({
  config,
  keys,
}) => {
  // An instance of its own, because all tests come from one address.
  const own = await startInlet(config, { workers: 0 });
  const ask = (key: string) =>
    fetch(`${own.url}/v1/data/mine/objects`, { headers: { authorization: `Bearer ${key}` } });
  const statuses: number[] = [];
  for (let guess = 0; guess < 70; guess += 1) statuses.push((await ask(`guess-${guess}`)).status);
  expect(statuses.slice(0, 60)).toEqual(Array.from({ length: 60 }, () => 401));
  expect(statuses.slice(60)).toEqual(Array.from({ length: 10 }, () => 429));
  const refused = await ask('guess');
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await ask(createApiKey())).status).toBe(429);
  // This one is short enough to be guessed, so not even the right one is tried.
  expect((await ask(KEY)).status).toBe(429);
  expect((await ask(keys.reader.key)).status).toBe(200);
});
