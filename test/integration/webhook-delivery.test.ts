/** Webhooks from the write to the receiver, on both queues: genuine, complete, repeated, and kept account of. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { WebhookParts } from '../../src/roles/webhooks.ts';
import { Database } from '../../src/store/database.ts';
import { eventually, TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase, query } from '../support/postgres.ts';
import { describeOnBothQueues } from '../support/queues.ts';
import type { AnswerWebhook, Delivery, TestEndpoint } from '../support/receiver.ts';
import {
  answering,
  changeEndpoint,
  deliveriesOf,
  endpointState,
  makeDeliveries,
  makeEndpoint,
  newSecret,
  Receiver,
  verify,
} from '../support/receiver.ts';

/** Retries that come at once, three of them. */
const SOON: WebhookParts = { schedule: [20, 20, 20] };

describeOnBothQueues('webhooks', ({ redisUrl }) => {
  let database: Database;
  let drop: () => Promise<void>;
  let inlet: TestInlet;
  let receivers: Receiver[];

  beforeAll(async () => {
    const created = await createTestDatabase();
    const databaseUrl = created.url;
    drop = created.drop;
    database = new Database({
      ...{ url: databaseUrl, poolSize: 2, queryTimeoutMs: 20_000, onError: () => undefined },
    });
    await query(databaseUrl, `ALTER TABLE inlet.objects ADD CHECK (NOT data ? 'refuse')`);
    const overrides = {
      webhookAllowHttp: true,
      webhookAllowNetworks: ['127.0.0.0/8'],
      publicUrl: 'https://inlet.example.com',
    };
    const config = testConfig({ databaseUrl, redisUrl }, overrides);
    inlet = await TestInlet.start(config, { workerParts: { webhooks: SOON } });
  });

  afterAll(async () => {
    await inlet?.close();
    await database?.close();
    await drop?.();
  });

  beforeEach(() => {
    receivers = [];
  });

  afterEach(async () => {
    // Nothing of one test is to be delivered in the next.
    await database.query({ text: 'DELETE FROM inlet.webhook_deliveries' });
    await database.query({ text: 'DELETE FROM inlet.webhook_endpoints' });
    for (const receiver of receivers) await receiver.close();
  });

  async function receive(answer?: AnswerWebhook): Promise<Receiver> {
    const receiver = await Receiver.start(answer);
    receivers.push(receiver);
    return receiver;
  }

  /** Waits until no delivery of an endpoint is pending. */
  async function done(endpointId: string): Promise<Delivery[]> {
    return eventually(async () => {
      const rows = await deliveriesOf(database, endpointId);
      return rows.length > 0 && rows.every(({ status }) => status !== 'pending') ? rows : undefined;
    });
  }

  it('tell of each stored object, verified by what receivers verify with', async () => {
    const receiver = await receive();
    const { id, secret } = await makeEndpoint(database, receiver.url);
    const schema = '{"price": {"content_type": "metadata"}, "big": {"content_type": "metadata"}}';
    const objects = '[{"id": "a/1", "price": 1.10, "big": 12345678901234567890}, {"id": "b ü", "other": 1}]';
    const requestId = await inlet.write('shop', `{"data": ${objects}, "schema": ${schema}}`);
    const rows = await done(id);
    expect(receiver.received).toHaveLength(2);
    const { accepted_at } = await inlet.status('shop', requestId);
    for (const received of receiver.received) {
      expect(verify(received, secret)).toEqual(JSON.parse(received.body));
      expect(() => verify(received, newSecret())).toThrow();
      expect(received).toMatchObject({ method: 'POST', path: '/hook?token=query-secret' });
      expect(received.headers['content-type']).toBe('application/json');
      expect(received.headers['user-agent']).toMatch(/^Inlet\/\d+\.\d+\.\d+/);
    }
    const bodies = receiver.received.map(({ body }) => body).sort();
    expect(bodies[0]).toBe(
      `{"type":"workflow.succeeded","namespace":"shop","id":"a/1","request_id":"${requestId}","accepted_at":"${accepted_at}",` +
        '"url":"https://inlet.example.com/v1/data/shop/objects/a%2F1",' +
        '"metadata":{"big": 12345678901234567890, "price": 1.10},' +
        '"output":{"actions":[],"labels":[],"fields":{}}}',
    );
    expect(JSON.parse(bodies[1] ?? '')).toMatchObject({ id: 'b ü', metadata: {} });
    expect(rows).toMatchObject(
      Array(2).fill({
        status: 'succeeded',
        tries: 1,
        attempts: [{ status_code: 200, response: 'answer 200', error: null }],
        completed_at: expect.any(Date),
      }),
    );
    expect(Date.parse(rows[0]?.attempts[0]?.at ?? '')).toBeGreaterThan(Date.now() - 60_000);
  });

  it('tell of each object that could not be stored', async () => {
    const receiver = await receive();
    const { id, secret } = await makeEndpoint(database, receiver.url, { events: ['workflow.failed'] });
    const requestId = await inlet.write('shop', '{"data": [{"id": "good"}, {"id": "bad", "refuse": 1}]}');
    await done(id);
    expect(receiver.received.map((received) => verify(received, secret))).toEqual([
      {
        type: 'workflow.failed',
        namespace: 'shop',
        id: 'bad',
        request_id: requestId,
        accepted_at: expect.any(String),
        error: expect.stringContaining('constraint'),
      },
    ]);
  });

  it('come again until they are taken, with the same id and a new signature', async () => {
    let times = 0;
    const receiver = await receive((response, received) => {
      times += 1;
      answering(times <= 2 ? 500 : 204)(response, received);
    });
    const { id, secret } = await makeEndpoint(database, receiver.url);
    await inlet.write('again', '{"data": {"id": "a"}}');
    const [row] = await done(id);
    expect(receiver.received).toHaveLength(3);
    expect(receiver.ids.size).toBe(1);
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);
    for (const received of receiver.received) verify(received, secret);
    expect(row).toMatchObject({ status: 'succeeded', tries: 3 });
    expect(row?.attempts.map(({ status_code, error }) => [status_code, error])).toEqual([
      [500, 'the receiver has answered 500'],
      [500, 'the receiver has answered 500'],
      [204, null],
    ]);
    expect(await endpointState(database, id)).toMatchObject({ failing_since: null, disabled_at: null });
  });

  it('are given up after the last retry, and the endpoint is known to be failing', async () => {
    const receiver = await receive(answering(503));
    const { id } = await makeEndpoint(database, receiver.url);
    await makeDeliveries(database, id, 1);
    const [row] = await done(id);
    expect(row).toMatchObject({ status: 'failed', tries: 4, completed_at: expect.any(Date) });
    expect(receiver.received).toHaveLength(4);
    expect(await endpointState(database, id)).toMatchObject({
      failing_since: expect.any(Date),
      disabled_at: null,
    });
    receiver.answer = answering(200);
    await makeDeliveries(database, id, 1, { prefix: 'next' });
    await done(id);
    expect(await endpointState(database, id)).toMatchObject({ failing_since: null });
  });

  it('are signed with both secrets while an old one is valid, and not with one that is void', async () => {
    const receiver = await receive();
    const { id, secret } = await makeEndpoint(database, receiver.url);
    const [old, expired] = [newSecret(), newSecret()];
    await database.query({
      text: `INSERT INTO inlet.webhook_secrets (endpoint_id, secret, expires_at)
       VALUES ('${id}', '${old}', now() + interval '1 hour'), ('${id}', '${expired}', now() - interval '1 second')`,
    });
    await makeDeliveries(database, id, 1);
    await done(id);
    const [received] = receiver.received;
    if (!received) throw new Error('nothing came');
    expect(String(received.headers['webhook-signature']).split(' ')).toHaveLength(2);
    verify(received, secret);
    verify(received, old);
    expect(() => verify(received, expired)).toThrow();
  });

  it('reach an endpoint that was made over HTTP: tested, rotated and replayed', async () => {
    const receiver = await receive(answering(500));
    const call = async <T>(path: string, body?: object): Promise<T> => {
      const init = { method: 'POST', ...(body ? { body: JSON.stringify(body) } : {}) };
      const response = await inlet.fetch(`/v1/webhooks/endpoints${path}`, init);
      expect(response.ok, await response.clone().text()).toBe(true);
      return (await response.json()) as T;
    };
    const since = new Date().toISOString();
    const { id, secret } = await call<TestEndpoint>('', { url: receiver.url, namespaces: ['shop'] });
    const rotated = await call<{ secret: string }>(`/${id}/rotate-secret`);
    await inlet.write('shop', '{"data": {"id": "replayed"}}');
    await inlet.write('elsewhere', '{"data": {"id": "not for it"}}');
    expect(await done(id)).toMatchObject([{ status: 'failed', tries: 4 }]);
    receiver.answer = answering(200);
    await call(`/${id}/replay`, { since });
    const [row] = await eventually(async () => {
      const rows = await deliveriesOf(database, id);
      return rows[0]?.status === 'succeeded' ? rows : undefined;
    });
    expect(row?.attempts.map(({ status_code }) => status_code)).toEqual([500, 500, 500, 500, 200]);
    await call(`/${id}/test`);
    await eventually(async () => (receiver.ids.size === 2 ? true : undefined));
    const last = receiver.received.at(-1);
    expect(JSON.parse(last?.body ?? '')).toEqual({
      type: 'webhook.test',
      request_id: expect.stringMatching(/^req_/),
      accepted_at: expect.any(String),
    });
    for (const received of receiver.received) {
      verify(received, secret);
      verify(received, rotated.secret);
    }
  });

  it('of a fast receiver are not held up by one that hangs, nor more sent to that than it may get', async () => {
    const slow = await receive(() => undefined);
    const fast = await receive();
    const hanging = await makeEndpoint(database, slow.url);
    const { id } = await makeEndpoint(database, fast.url);
    await makeDeliveries(database, hanging.id, 50);
    await eventually(async () => (slow.received.length >= 10 ? true : undefined));
    await makeDeliveries(database, id, 300);
    await done(id);
    expect(fast.ids.size).toBe(300);
    // Those of one endpoint at one time.
    expect(slow.received).toHaveLength(10);
  });

  it('keep to the rate of the endpoint', async () => {
    const receiver = await receive();
    const { id } = await makeEndpoint(database, receiver.url, { rate: 20 });
    await makeDeliveries(database, id, 60);
    await done(id);
    const times = receiver.received.map(({ at }) => at);
    expect(times).toHaveLength(60);
    // 59 of them wait for a twentieth of a second each.
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(2_500);
  });

  it('stop when the receiver answers 410, and go on when the endpoint is enabled again', async () => {
    const receiver = await receive(answering(410));
    const { id } = await makeEndpoint(database, receiver.url);
    await makeDeliveries(database, id, 200);
    await eventually(async () => {
      const { disabled_reason } = await endpointState(database, id);
      return disabled_reason === 'gone' ? true : undefined;
    });
    // Those that were on their way together, and no more; their answers are known, too, when they are kept.
    await eventually(async () => {
      const rows = await deliveriesOf(database, id);
      expect(rows.every(({ status }) => status === 'pending')).toBe(true);
      const attempts = rows.reduce((sum, { tries }) => sum + tries, 0);
      return attempts === receiver.received.length ? true : undefined;
    });
    expect(receiver.received.length).toBeLessThanOrEqual(20);
    receiver.answer = answering(200);
    await changeEndpoint(database, id, `disabled_at = NULL, disabled_reason = NULL, failing_since = NULL`);
    await done(id);
    expect(receiver.ids.size).toBe(200);
  });

  it('wait as long as a receiver asks for', async () => {
    const receiver = await receive((response, received) => {
      const isFirst = receiver.received.length === 1;
      (isFirst ? answering(429, { 'retry-after': '2' }) : answering(200))(response, received);
    });
    const { id } = await makeEndpoint(database, receiver.url, { rate: 50 });
    await makeDeliveries(database, id, 20);
    await eventually(async () => ((await endpointState(database, id)).paused_until ? true : undefined));
    await done(id);
    // Beside those that were on their way already.
    const first = receiver.received[0]?.at ?? 0;
    const within = receiver.received.filter(({ at }) => at - first < 1_900);
    expect(within.length).toBeLessThanOrEqual(11);
    expect(receiver.ids.size).toBe(20);
    const rows = await deliveriesOf(database, id);
    expect(rows.map(({ tries }) => tries).sort()).toEqual([...Array(19).fill(1), 2]);
  });

  it('are due again when a receiver says so, and not before', async () => {
    const receiver = await receive(answering(503, { 'retry-after': '3600' }));
    const { id } = await makeEndpoint(database, receiver.url);
    await makeDeliveries(database, id, 1);
    const row = await eventually(async () => {
      const [found] = await deliveriesOf(database, id);
      return found?.tries === 1 ? found : undefined;
    });
    expect(row).toMatchObject({ status: 'pending' });
    expect(row.due_in).toBeGreaterThan(3_500);
    expect(row.due_in).toBeLessThanOrEqual(3_600);
    const { paused_until } = await eventually(async () => {
      const found = await endpointState(database, id);
      return found.paused_until ? found : undefined;
    });
    expect(Number(paused_until) - Date.now()).toBeGreaterThan(3_500_000);
  });

  it('end where the endpoint has failed for five days, and the log says so', async () => {
    const receiver = await receive(answering(500));
    const { id } = await makeEndpoint(database, receiver.url);
    await changeEndpoint(database, id, `failing_since = now() - interval '5 days 1 minute'`);
    await makeDeliveries(database, id, 1);
    await eventually(async () => {
      const { disabled_reason } = await endpointState(database, id);
      return disabled_reason === 'failing' ? true : undefined;
    });
    expect(await deliveriesOf(database, id)).toMatchObject([{ status: 'pending', tries: 1 }]);
    // With one success in between it would not.
    const other = await makeEndpoint(database, receiver.url);
    await changeEndpoint(database, other.id, `failing_since = now() - interval '5 days 1 minute'`);
    receiver.answer = answering(200);
    await makeDeliveries(database, other.id, 1);
    await done(other.id);
    expect(await endpointState(database, other.id)).toMatchObject({
      failing_since: null,
      disabled_at: null,
    });
  });

  it('are not sent while the endpoint is disabled, and are sent when it no longer is', async () => {
    const receiver = await receive();
    const other = await receive();
    const { id } = await makeEndpoint(database, receiver.url);
    const set = (sql: string) => changeEndpoint(database, id, sql);
    await set(`disabled_at = now(), disabled_reason = 'requested'`);
    await makeDeliveries(database, id, 5);
    const { id: enabled } = await makeEndpoint(database, other.url);
    await makeDeliveries(database, enabled, 5);
    await done(enabled);
    expect(receiver.received).toEqual([]);
    await set('disabled_at = NULL, disabled_reason = NULL');
    await done(id);
    expect(receiver.ids.size).toBe(5);
  });

  it('with much in them are sent as well, few at a time', async () => {
    const receiver = await receive();
    const { id } = await makeEndpoint(database, receiver.url);
    await makeDeliveries(database, id, 3, {
      prefix: 'large',
      metadata: `{"text": "${'x'.repeat(2_000_000)}"}`,
    });
    await makeDeliveries(database, id, 100, {
      prefix: 'medium',
      metadata: `{"text": "${'y'.repeat(20_000)}"}`,
    });
    await done(id);
    expect(receiver.ids.size).toBe(103);
    expect(receiver.received).toHaveLength(103);
    const sizes = receiver.received.map(({ body }) => body.length);
    expect(sizes.filter((size) => size > 2_000_000)).toHaveLength(3);
    expect(sizes.filter((size) => size > 20_000)).toHaveLength(103);
  });
});
