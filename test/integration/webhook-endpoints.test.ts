/** Endpoints of webhooks over HTTP: made, seen, changed and deleted, by keys that may see different namespaces. */
import { describe, expect } from 'vitest';
import { MAX_ENDPOINTS } from '../../src/webhooks/management.ts';
import { inletTest } from '../support/fixtures.ts';
import type { ProblemAnswer, TestInlet } from '../support/inlet.ts';
import type { MadeKey } from '../support/keys.ts';
import { bearer } from '../support/keys.ts';
import { changeEndpoint, makeDeliveries } from '../support/receiver.ts';
import { answer, deleteWebhooks, insertDeliveries, makeKnownKey } from '../support/webhook-deliveries.ts';

const PATH = '/v1/webhooks/endpoints';
const URL = 'https://receiver.example/hooks';
const DAY_MS = 24 * 3_600_000;

interface Endpoint {
  readonly id: string;
  readonly secret?: string;
  readonly [member: string]: unknown;
}

interface Secrets {
  readonly secret: string;
  readonly secrets: readonly { readonly secret: string; readonly expires_at: string | null }[];
}

type EndpointPage = { readonly data: Endpoint[]; readonly next_cursor: string | null };

/** Calls of the API, with the first key unless another one is given. */
function apiOf(inlet: TestInlet) {
  const call = (
    method: string,
    path: string,
    { body, key }: { body?: unknown; key?: MadeKey } = {},
  ): Promise<Response> =>
    inlet.fetch(path, {
      method,
      ...(key ? { headers: bearer(key) } : {}),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  return {
    call,
    create: async (members: object = {}, key?: MadeKey): Promise<Endpoint> => {
      const made = await call('POST', PATH, { body: { url: URL, ...members }, ...(key ? { key } : {}) });
      return answer<Endpoint>(made, 201);
    },
    list: async (key?: MadeKey, query = ''): Promise<EndpointPage> =>
      answer(await call('GET', PATH + query, key ? { key } : {})),
    secretsOf: async (id: string) => answer<Secrets>(await call('GET', `${PATH}/${id}/secret`)),
    rotate: async (id: string) => answer<Secrets>(await call('POST', `${PATH}/${id}/rotate-secret`)),
  };
}

const test = inletTest({ workers: 0 })
  .extend('api', { scope: 'file' }, ({ inlet }) => apiOf(inlet))
  // Of the namespaces a and b, of a alone, of c, and one that may only read a.
  .extend('keys', { scope: 'file' }, async ({ databaseUrl, inlet }) => {
    const make = (namespaces: string, scopes: string) =>
      makeKnownKey(databaseUrl, inlet, '--namespaces', namespaces, '--scopes', scopes);
    const [ab, a, c, reader] = await Promise.all([
      make('a,b', 'read,admin'),
      make('a', 'read,admin'),
      make('c', 'read,admin'),
      make('a', 'read'),
    ]);
    return { ab, a, c, reader };
  });

test.beforeEach(({ store: { database } }) => deleteWebhooks(database));

describe('an endpoint', () => {
  test('is made with its secret, which is never shown by what only reads', async ({
    api: { call, list },
  }) => {
    const response = await call('POST', PATH, {
      body: { url: URL, description: 'first ✓', events: ['workflow.failed'], rate: 7 },
    });
    expect(response.headers.get('cache-control')).toBe('no-store');
    const { secret, ...endpoint } = await answer<Endpoint>(response, 201);
    expect(response.headers.get('location')).toBe(`${PATH}/${endpoint.id}`);
    expect(secret).toMatch(/^whsec_[0-9A-Za-z+/]{43}=$/);
    expect(endpoint).toEqual({
      id: expect.stringMatching(/^ep_[0-9A-Za-z]{16}$/),
      url: URL,
      created_by: 'settings_1',
      url_set_by: 'settings_1',
      description: 'first ✓',
      namespaces: null,
      events: ['workflow.failed'],
      rate: 7,
      disabled: false,
      disabled_reason: null,
      disabled_at: null,
      failing_since: null,
      paused_until: null,
      created_at: expect.any(String),
      updated_at: expect.any(String),
    });
    expect(await answer(await call('GET', `${PATH}/${endpoint.id}`))).toEqual(endpoint);
    expect(await list()).toEqual({ data: [endpoint], next_cursor: null });
  });

  test('may be made disabled', async ({ api: { create } }) => {
    expect(await create({ disabled: true })).toMatchObject({
      disabled: true,
      disabled_reason: 'requested',
      disabled_at: expect.any(String),
    });
  });

  test('that breaks a rule is refused with the place, and is not made', async ({ api: { call, list } }) => {
    const refused = await call('POST', PATH, { body: { url: 'http://10.0.0.1/', rate: 1, Rate: 2 } });
    const { errors } = await answer<ProblemAnswer>(refused, 400);
    expect(errors).toEqual([{ path: '/Rate', message: 'is not known here' }]);
    for (const url of ['http://receiver.example/', 'https://10.0.0.1/', 'https://u:p@receiver.example/']) {
      const problem = await answer<ProblemAnswer>(await call('POST', PATH, { body: { url } }), 400);
      expect(problem.errors?.map(({ path }) => path)).toEqual(['/url']);
    }
    expect((await list()).data).toEqual([]);
  });

  test('changes by what is named alone', async ({ api: { call, create } }) => {
    const { id, secret: _, ...before } = await create({ description: 'x', namespaces: ['a'], rate: 5 });
    const patch = async (body: unknown) => answer<Endpoint>(await call('PATCH', `${PATH}/${id}`, { body }));
    expect(await patch({})).toEqual({ id, ...before, updated_at: expect.any(String) });
    const changed = { url: 'https://other.example/', events: ['workflow.failed'], description: '' };
    expect(await patch(changed)).toMatchObject({ ...before, ...changed, updated_at: expect.any(String) });
    expect(await patch({ rate: null, namespaces: null })).toMatchObject({ rate: null, namespaces: null });
    const refused = await call('PATCH', `${PATH}/${id}`, { body: { url: 'https://127.0.0.1/' } });
    await answer(refused, 400);
    expect(await answer(await call('GET', `${PATH}/${id}`))).toMatchObject({ url: 'https://other.example/' });
  });

  test('that is enabled forgets why it was disabled, its failures, and the pause that its receiver wanted', async ({
    api: { call, create },
    store: { database },
  }) => {
    const { id } = await create();
    const set = (sql: string) => changeEndpoint(database, id, sql);
    const patch = async (body: unknown) => answer<Endpoint>(await call('PATCH', `${PATH}/${id}`, { body }));
    await set(
      "disabled_at = now(), disabled_reason = 'failing', failing_since = now(), paused_until = now() + interval '1 hour'",
    );
    expect(await patch({ description: 'still' })).toMatchObject({
      disabled: true,
      disabled_reason: 'failing',
      failing_since: expect.any(String),
      paused_until: expect.any(String),
    });
    expect(await patch({ disabled: true })).toMatchObject({ disabled_reason: 'failing' });
    const reasons = { disabled_reason: null, disabled_at: null, failing_since: null, paused_until: null };
    const healthy = { disabled: false, ...reasons };
    expect(await patch({ disabled: false })).toMatchObject(healthy);
    expect(await patch({ disabled: true })).toMatchObject({ disabled: true, disabled_reason: 'requested' });
    await patch({ disabled: false });
    await set("failing_since = now(), paused_until = now() + interval '1 hour'");
    expect(await patch({ url: URL })).toMatchObject({ failing_since: expect.any(String) });
    expect(await patch({ url: 'https://other.example/' })).toMatchObject(healthy);
  });

  test('is deleted with its secrets and what is pending; what was delivered stays for a while', async ({
    api: { call, create },
    store: { database },
  }) => {
    const [gone, other] = [await create(), await create()];
    await makeDeliveries(database, gone.id, 5_001);
    await insertDeliveries(database, gone.id, [{ webhookId: 'msg_done', status: 'succeeded' }]);
    await insertDeliveries(database, other.id, [{ webhookId: 'msg_0' }]);
    expect((await call('DELETE', `${PATH}/${gone.id}`)).status).toBe(204);
    const counts = await database.query({
      text: `SELECT endpoint_id, status, count(*)::int AS n FROM inlet.webhook_deliveries GROUP BY 1, 2 ORDER BY 2`,
    });
    expect(counts).toEqual([
      { endpoint_id: other.id, status: 'pending', n: 1 },
      { endpoint_id: gone.id, status: 'succeeded', n: 1 },
    ]);
    const secrets = await database.query({ text: 'SELECT endpoint_id FROM inlet.webhook_secrets' });
    expect(secrets).toEqual([{ endpoint_id: other.id }]);
    for (const [method, path] of [
      ['GET', ''],
      ['PATCH', ''],
      ['DELETE', ''],
      ['GET', '/secret'],
    ] as const) {
      const response = await call(
        method,
        `${PATH}/${gone.id}${path}`,
        method === 'PATCH' ? { body: {} } : {},
      );
      await answer(response, 404);
    }
    const page = await answer<{ data: unknown[] }>(await call('GET', '/v1/webhooks/deliveries'));
    expect(page.data).toHaveLength(1);
  });

  test('has an id that is no id: 404, whatever it holds', async ({ api: { call } }) => {
    for (const id of ['x', 'ep_4eC39HqLyjWDarjt', '%00', 'ep_4eC39HqLyjWDarj%00', '%F0%9F%98%80']) {
      await answer(await call('GET', `${PATH}/${id}`), 404);
      await answer(await call('POST', `${PATH}/${id}/test`), 404);
    }
  });
});

test(`there are at most ${MAX_ENDPOINTS}, however many are made at the same time`, async ({
  api: { call },
  store: { database },
}) => {
  await database.query({
    text: `INSERT INTO inlet.webhook_endpoints (endpoint_id, url, events)
           SELECT 'ep_' || lpad(n::text, 16, '0'), 'https://x.example', '{workflow.failed}'
           FROM generate_series(1, $1::int) AS n`,
    values: [MAX_ENDPOINTS - 2],
  });
  const responses = await Promise.all(
    Array.from({ length: 8 }, () => call('POST', PATH, { body: { url: URL } })),
  );
  expect(responses.map(({ status }) => status).sort()).toEqual([201, 201, 409, 409, 409, 409, 409, 409]);
  const refused = await call('POST', PATH, { body: { url: URL } });
  expect(refused.headers.get('x-should-retry')).toBe('false');
  expect((await answer<ProblemAnswer>(refused, 409)).detail).toContain(`${MAX_ENDPOINTS} endpoints`);
  const secrets = await database.query({ text: 'SELECT FROM inlet.webhook_secrets' });
  expect(secrets).toHaveLength(2);
});

test('lists are pages, the newest first', async ({ api: { call, create, list }, store: { database } }) => {
  const made: string[] = [];
  for (let n = 0; n < 5; n += 1) made.unshift((await create()).id);
  // The same moment: their order is that of their ids.
  await database.query({
    text: `UPDATE inlet.webhook_endpoints SET created_at = '2026-11-22T19:00:00.123456Z' WHERE endpoint_id = ANY ($1)`,
    values: [made.slice(2)],
  });
  const expected = [...made.slice(0, 2), ...made.slice(2).sort().reverse()];
  const walked: string[] = [];
  let cursor: string | null = '';
  const sizes: number[] = [];
  while (cursor !== null) {
    const query: string = `?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`;
    const page: EndpointPage = await list(undefined, query);
    walked.push(...page.data.map(({ id }) => id));
    sizes.push(page.data.length);
    cursor = page.next_cursor;
  }
  expect(walked).toEqual(expected);
  expect(sizes).toEqual([2, 2, 1]);
  for (const wrong of ['!', Buffer.from('x').toString('base64url')])
    await answer(await call('GET', `${PATH}?cursor=${wrong}`), 400);
});

describe('a key', () => {
  test('makes endpoints for the namespaces that it may see, by itself for all of them', async ({
    api: { call, create, list },
    keys,
  }) => {
    expect((await create({}, keys.ab)).namespaces).toEqual(['a', 'b']);
    expect((await create({ namespaces: null }, keys.ab)).namespaces).toEqual(['a', 'b']);
    expect((await create({ namespaces: ['b'] }, keys.ab)).namespaces).toEqual(['b']);
    expect((await create()).namespaces).toBeNull();
    expect((await create({ namespaces: ['z'] })).namespaces).toEqual(['z']);
    const refused = await call('POST', PATH, { key: keys.ab, body: { url: URL, namespaces: ['a', 'c'] } });
    expect((await answer<ProblemAnswer>(refused, 403)).detail).toContain('namespace c');
    expect((await list()).data).toHaveLength(5);
  });

  test('sees an endpoint if it may see all of its namespaces; another one is not there for it', async ({
    api: { call, create, list },
    keys,
  }) => {
    const all = await create();
    const both = await create({}, keys.ab);
    const one = await create({}, keys.a);
    const seen = async (key?: MadeKey) => (await list(key)).data.map(({ id }) => id);
    expect(await seen()).toEqual([one.id, both.id, all.id]);
    expect(await seen(keys.ab)).toEqual([one.id, both.id]);
    expect(await seen(keys.a)).toEqual([one.id]);
    expect(await seen(keys.reader)).toEqual([one.id]);
    expect(await seen(keys.c)).toEqual([]);
    const since = { since: '2026-01-01T00:00:00Z' };
    const calls: readonly [string, string, unknown?][] = [
      ['GET', ''],
      ['PATCH', '', { disabled: true }],
      ['GET', '/secret'],
      ['POST', '/rotate-secret'],
      ['POST', '/test'],
      ['POST', '/replay', since],
      ['DELETE', ''],
    ];
    for (const [method, rest, body] of calls) {
      for (const [id, key] of [
        [all.id, keys.ab],
        [both.id, keys.a],
        [one.id, keys.c],
      ] as const) {
        const response = await call(method, `${PATH}/${id}${rest}`, { key, body });
        const { requestId: _, ...problem } = await answer<ProblemAnswer>(response, 404);
        const nowhere = await call(method, `${PATH}/ep_4eC39HqLyjWDarjt${rest}`, { key, body });
        expect(await answer(nowhere, 404)).toMatchObject(problem);
      }
    }
    expect(await seen()).toEqual([one.id, both.id, all.id]);
    expect((await list()).data.map(({ disabled }) => disabled)).toEqual([false, false, false]);
    for (const [method, rest, body] of calls) {
      const response = await call(method, `${PATH}/${one.id}${rest}`, { key: keys.a, body });
      expect(response.status, `${method} ${rest}`).toBeLessThan(300);
      if (rest === '') await call('PATCH', `${PATH}/${one.id}`, { key: keys.a, body: { disabled: false } });
    }
  });

  test('changes the namespaces of an endpoint by the same rules', async ({ api: { call, create }, keys }) => {
    const { id } = await create({}, keys.a);
    const patch = (key: MadeKey, namespaces: unknown) =>
      call('PATCH', `${PATH}/${id}`, { key, body: { namespaces } });
    await answer(await patch(keys.a, ['a', 'b']), 403);
    expect(await answer(await patch(keys.ab, ['b', 'a']))).toMatchObject({ namespaces: ['b', 'a'] });
    await answer(await patch(keys.a, ['a']), 404);
    expect(await answer(await patch(keys.ab, null))).toMatchObject({ namespaces: ['a', 'b'] });
    expect(await answer(await patch(keys.ab, ['a']))).toMatchObject({ namespaces: ['a'] });
    expect(await answer(await patch(keys.a, ['a']))).toMatchObject({ namespaces: ['a'] });
  });

  test('needs the scope admin for all but looking', async ({ api: { call, create }, keys }) => {
    const { id } = await create({}, keys.a);
    for (const [method, path, body] of [
      ['POST', PATH, { url: URL }],
      ['PATCH', `${PATH}/${id}`, {}],
      ['DELETE', `${PATH}/${id}`],
      ['GET', `${PATH}/${id}/secret`],
      ['POST', `${PATH}/${id}/rotate-secret`],
      ['POST', `${PATH}/${id}/test`],
      ['POST', `${PATH}/${id}/replay`, { since: '2026-01-01T00:00:00Z' }],
    ] as const) {
      const refused = await call(method, path, { key: keys.reader, body });
      expect((await answer<ProblemAnswer>(refused, 403)).detail).toContain('needs admin');
    }
    await answer(await call('GET', `${PATH}/${id}`, { key: keys.reader }));
    await answer(await call('GET', `/v1/webhooks/deliveries?endpoint=${id}`, { key: keys.reader }));
  });
});

describe('secrets', () => {
  test('are shown to admins: the current one, and those that still sign', async ({
    api: { call, create },
  }) => {
    const { id, secret } = await create();
    const response = await call('GET', `${PATH}/${id}/secret`);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(await answer(response)).toEqual({
      id,
      secret,
      secrets: [{ secret, created_at: expect.any(String), expires_at: null }],
    });
  });

  test('that are rotated out sign for 24 hours, however many there are', async ({
    api: { create, secretsOf, rotate },
  }) => {
    const { id, secret: first } = await create();
    const before = Date.now();
    const { secret: second, secrets } = await rotate(id);
    expect(second).not.toBe(first);
    expect(secrets.map(({ secret }) => secret)).toEqual([second, first]);
    const end = Date.parse(secrets[1]?.expires_at ?? '');
    expect(end).toBeGreaterThan(before + DAY_MS - 60_000);
    expect(end).toBeLessThan(Date.now() + DAY_MS + 60_000);
    const { secret: third } = await rotate(id);
    const after = await secretsOf(id);
    expect(after.secret).toBe(third);
    expect(after.secrets.map(({ secret }) => secret)).toEqual([third, second, first]);
    expect(after.secrets[2]?.expires_at).toBe(secrets[1]?.expires_at);
  });

  test('whose time is over are shown no more, and are gone after the next rotation', async ({
    api: { create, secretsOf, rotate },
    store: { database },
  }) => {
    const { id, secret: first } = await create();
    const { secret: second } = await rotate(id);
    await database.query({
      text: `UPDATE inlet.webhook_secrets SET expires_at = now() WHERE secret = $1`,
      values: [first],
    });
    expect((await secretsOf(id)).secrets.map(({ secret }) => secret)).toEqual([second]);
    const { secret: third } = await rotate(id);
    const kept = await database.query({ text: 'SELECT secret FROM inlet.webhook_secrets' });
    expect(kept.map(({ secret }) => secret as string).sort()).toEqual([second, third].sort());
  });

  test('are rotated by several at the same time without one being lost', async ({
    api: { create, secretsOf, rotate },
  }) => {
    const { id, secret } = await create();
    const rotated = await Promise.all(Array.from({ length: 6 }, () => rotate(id)));
    const now = await secretsOf(id);
    expect(now.secrets).toHaveLength(7);
    expect(now.secrets.filter(({ expires_at }) => expires_at === null)).toHaveLength(1);
    expect(now.secrets.map((one) => one.secret).sort()).toEqual(
      [secret, ...rotated.map((one) => one.secret)].sort(),
    );
  });
});
