/** Who may have events sent where: what a key leaves behind, what it can't take from others, what it doesn't see. */
import { describe, expect } from 'vitest';
import { MAX_ENDPOINTS_OF_KEY } from '../../src/webhooks/management.ts';
import { runCommand } from '../support/command.ts';
import { inletTest } from '../support/fixtures.ts';
import type { MadeKey } from '../support/keys.ts';
import { bearer } from '../support/keys.ts';
import { keptLog } from '../support/log.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';
import { answer, deleteWebhooks, insertDeliveries, makeKnownKey } from '../support/webhook-deliveries.ts';

const PATH = '/v1/webhooks/endpoints';
const TOKEN = 's3cr3t-token';
const URL = `https://receiver.example/hooks/${TOKEN}?key=${TOKEN}`;
const HIDDEN = 'https://receiver.example/***';

interface Endpoint {
  readonly id: string;
  readonly url: string;
  readonly disabled: boolean;
  readonly created_by: string | null;
  readonly url_set_by: string | null;
}

const kept = keptLog();

const test = inletTest({ workers: 0, apiLog: kept.log })
  .extend(
    'call',
    { scope: 'file' },
    ({ inlet }) =>
      (key: MadeKey, method: string, path = '', body?: object) =>
        inlet.fetch(PATH + path, {
          method,
          headers: bearer(key),
          ...(body ? { body: JSON.stringify(body) } : {}),
        }),
  )
  .extend(
    'makeKey',
    { scope: 'file' },
    ({ databaseUrl, inlet }) =>
      (scopes: string) =>
        makeKnownKey(databaseUrl, inlet, '--namespaces', 'a', '--scopes', scopes),
  );

test.beforeEach(({ store: { database } }) => deleteWebhooks(database));

test('a key can make so many endpoints, however many at once, and takes none from others', async ({
  call,
  makeKey,
  databaseUrl,
}) => {
  const [greedy, other] = await Promise.all([makeKey('read,admin'), makeKey('read,admin')]);
  await query(
    databaseUrl,
    `INSERT INTO inlet.webhook_endpoints (endpoint_id, url, events, created_by)
     SELECT 'ep_' || lpad(n::text, 16, '0'), 'https://x.example', '{workflow.failed}', '${greedy.id}'
     FROM generate_series(1, ${MAX_ENDPOINTS_OF_KEY - 2}) AS n`,
  );
  const responses = await Promise.all(
    Array.from({ length: 6 }, () => call(greedy, 'POST', '', { url: URL })),
  );
  expect(responses.map(({ status }) => status).sort()).toEqual([201, 201, 409, 409, 409, 409]);
  const refused = await call(greedy, 'POST', '', { url: URL, disabled: true });
  expect(await answer(refused, 409)).toMatchObject({
    detail: expect.stringContaining(`this API key has made ${MAX_ENDPOINTS_OF_KEY} endpoints`),
  });
  expect(await answer(await call(other, 'POST', '', { url: URL }), 201)).toMatchObject({
    created_by: other.id,
    url_set_by: other.id,
  });
});

describe('a key that is revoked', () => {
  const revoke = (databaseUrl: string, ...args: string[]) =>
    runCommand(['keys', 'revoke', ...args], { DATABASE_URL: databaseUrl });

  test('names the endpoints that it made or redirected, and disables them where that is asked for', async ({
    call,
    makeKey,
    databaseUrl,
    store: { database },
  }) => {
    const [gone, other] = await Promise.all([makeKey('read,admin'), makeKey('read,admin')]);
    const make = async (key: MadeKey) => answer<Endpoint>(await call(key, 'POST', '', { url: URL }), 201);
    const [made, redirected, untouched] = [await make(gone), await make(other), await make(other)];
    await call(gone, 'PATCH', `/${redirected.id}`, { url: 'https://elsewhere.example/' });
    // What stays the same is nobody's.
    await call(gone, 'PATCH', `/${untouched.id}`, { url: URL, description: 'the same' });

    const told = await revoke(databaseUrl, gone.id);
    expect(told).toMatchObject({ code: 0, stderr: '' });
    expect(told.stdout).toContain(`still get events: ${made.id}, ${redirected.id}\n`);
    expect(told.stdout).toContain(`inlet keys revoke ${gone.id} --disable-endpoints`);
    const later = await revoke(databaseUrl, gone.id, '--disable-endpoints', '--json');
    expect(JSON.parse(later.stdout)).toEqual({
      id: gone.id,
      status: 'revoked',
      webhook_endpoints: [made.id, redirected.id].map((id) => ({ id, disabled: true })),
    });
    const rows = await database.query({
      text: 'SELECT FROM inlet.webhook_endpoints WHERE disabled_at IS NULL AND endpoint_id = $1',
      values: [untouched.id],
    });
    expect(rows).toHaveLength(1);
    expect(await revoke(databaseUrl, 'key_unknown', '--disable-endpoints')).toMatchObject({ code: 1 });
  });

  test('can undo nothing of that with a process that does not know yet', async ({
    call,
    makeKey,
    databaseUrl,
  }) => {
    const gone = await makeKey('read,admin');
    const { id } = await answer<Endpoint>(await call(gone, 'POST', '', { url: URL }), 201);
    const trigger = (what: string) => `ALTER TABLE inlet.api_keys ${what} TRIGGER announce_api_keys`;
    await query(databaseUrl, trigger('DISABLE'));
    try {
      await revoke(databaseUrl, gone.id, '--disable-endpoints');
      const tried = [
        await call(gone, 'PATCH', `/${id}`, { disabled: false }),
        await call(gone, 'POST', '', { url: URL }),
      ];
      for (const response of tried) await answer(response, 401);
    } finally {
      await query(databaseUrl, trigger('ENABLE'));
    }
    const rows = await query(databaseUrl, 'SELECT FROM inlet.webhook_endpoints WHERE disabled_at IS NULL');
    expect(rows).toEqual([]);
  });
});

test('without the scope admin, what may be secret of URLs and answers is hidden', async ({
  inlet,
  call,
  makeKey,
  store: { database },
}) => {
  const [admin, reader] = await Promise.all([makeKey('read,admin'), makeKey('read,write')]);
  const { id } = await answer<Endpoint>(await call(admin, 'POST', '', { url: URL }), 201);
  const attempt = { at: '2026-11-22T19:00:00.000Z', duration_ms: 12, status_code: 500, error: 'no' };
  await insertDeliveries(database, id, [
    { webhookId: 'msg_1', namespace: 'a', attempts: [{ ...attempt, response: `Bearer ${TOKEN}` }] },
  ]);
  const seenWith = async (key: MadeKey) => {
    const paths = [`${PATH}/${id}`, PATH, `${PATH}?limit=1`, '/v1/webhooks/deliveries'];
    const read = async (path: string) => (await inlet.fetch(path, { headers: bearer(key) })).json();
    return Promise.all(paths.map(read));
  };
  const hidden = await seenWith(reader);
  expect(JSON.stringify(hidden)).not.toContain(TOKEN);
  expect(hidden[0]).toMatchObject({ id, url: HIDDEN });
  expect(hidden[3]).toMatchObject({ data: [{ attempts: [{ ...attempt, response: null }] }] });
  const shown = await seenWith(admin);
  expect(shown[0]).toMatchObject({ url: URL });
  expect(shown[3]).toMatchObject({ data: [{ attempts: [{ response: `Bearer ${TOKEN}` }] }] });
  const printed = await runCommand(['webhooks', 'deliveries'], {
    ...{ INLET_URL: inlet.url, INLET_API_KEY: reader.key },
  });
  expect(printed.stdout).toContain('attempt 1: 500, no (12 ms');
});

test('each change of keys and endpoints has a line in the log, without a secret', async ({
  call,
  makeKey,
  databaseUrl,
}) => {
  kept.lines.length = 0;
  const key = await makeKey('read,admin');
  const { id } = await answer<Endpoint>(await call(key, 'POST', '', { url: URL }), 201);
  await call(key, 'PATCH', `/${id}`, { url: 'https://elsewhere.example/x', events: ['workflow.failed'] });
  await call(key, 'POST', `/${id}/rotate-secret`);
  await call(key, 'DELETE', `/${id}`);
  // Looked at or tried in vain, nothing has changed.
  await call(key, 'GET');
  await call(key, 'DELETE', `/${id}`);
  await query(databaseUrl, `UPDATE inlet.api_keys SET namespaces = NULL WHERE key_id = '${key.id}'`);
  const audit = () => kept.lines.filter((line) => line['audit'] !== undefined);
  await waitFor('the change by hand', () => audit().some((line) => line['audit'] === 'api_key.changed'));
  await runCommand(['keys', 'revoke', key.id], { DATABASE_URL: databaseUrl });
  await waitFor('the end of the key', () => audit().some((line) => line['audit'] === 'api_key.revoked'));

  const ofKey = audit().filter((line) => line['key'] === key.id);
  const who = { key: key.id, keyName: 'a test', level: 30 };
  const done = { ...who, client: '127.0.0.1', endpoint: id, requestId: expect.stringMatching(/^req_/) };
  expect(ofKey).toEqual([
    expect.objectContaining({
      ...who,
      audit: 'api_key.created',
      scopes: ['read', 'admin'],
      namespaces: ['a'],
    }),
    expect.objectContaining({
      ...{ ...done, audit: 'webhook_endpoint.created', destination: 'https://receiver.example' },
      ...{ namespaces: ['a'], events: ['workflow.succeeded', 'workflow.failed'], disabled: false },
    }),
    expect.objectContaining({
      ...{ ...done, audit: 'webhook_endpoint.updated', destination: 'https://elsewhere.example' },
      events: ['workflow.failed'],
    }),
    expect.objectContaining({ ...done, audit: 'webhook_endpoint.secret_rotated' }),
    expect.objectContaining({ ...done, audit: 'webhook_endpoint.deleted' }),
    expect.objectContaining({ ...who, audit: 'api_key.changed', namespaces: null }),
    expect.objectContaining({ ...who, audit: 'api_key.revoked' }),
  ]);
  const text = JSON.stringify(kept.lines);
  for (const secret of [TOKEN, 'whsec_', key.key]) expect(text).not.toContain(secret);
});
