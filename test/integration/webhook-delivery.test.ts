/** Webhooks from the write to the receiver, on both queues: genuine, complete, repeated, and kept account of. */
import { expect } from 'vitest';
import { aroundEach, disabled, done, OPTIONS, paused } from '../support/delivered.ts';
import type { InletTest } from '../support/fixtures.ts';
import { describeOnBothQueues } from '../support/fixtures.ts';
import type { TestEndpoint } from '../support/receiver.ts';
import {
  answering,
  changeEndpoint,
  deliveriesOf,
  endpointState,
  makeDeliveries,
  makeEndpoint,
  newSecret,
  startReceiver,
  verify,
} from '../support/receiver.ts';
import { waitFor } from '../support/wait-for.ts';

describeOnBothQueues('webhooks', onBothQueues, OPTIONS);

function onBothQueues(test: InletTest): void {
  aroundEach(test);

  test('tell of each stored object, verified by what receivers verify with', async ({
    inlet,
    store: { database },
  }) => {
    const receiver = await startReceiver();
    const { id, secret } = await makeEndpoint(database, receiver.url);
    const schema = '{"price": {"content_type": "metadata"}, "big": {"content_type": "metadata"}}';
    const objects = '[{"id": "a/1", "price": 1.10, "big": 12345678901234567890}, {"id": "b ü", "other": 1}]';
    const requestId = await inlet.write('shop', `{"data": ${objects}, "schema": ${schema}}`);
    const rows = await done(database, id);
    expect(receiver.received).toHaveLength(2);
    const { accepted_at, stamp } = await inlet.status('shop', requestId);
    for (const received of receiver.received) {
      expect(verify(received, secret)).toEqual(JSON.parse(received.body));
      expect(() => verify(received, newSecret())).toThrow();
      expect(received).toMatchObject({ method: 'POST', path: '/hook?token=query-secret' });
      expect(received.headers['content-type']).toBe('application/json');
      expect(received.headers['user-agent']).toMatch(/^Inlet\/\d+\.\d+\.\d+/);
    }
    const bodies = receiver.received.map(({ body }) => body).sort();
    expect(bodies[0]).toBe(
      `{"type":"workflow.succeeded","namespace":"shop","id":"a/1","request_id":"${requestId}","accepted_at":"${accepted_at}","stamp":"${stamp}",` +
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

  test('come again until they are taken, with the same id and a new signature', async ({
    inlet,
    store: { database },
  }) => {
    let times = 0;
    const receiver = await startReceiver((response, received) => {
      times += 1;
      answering(times <= 2 ? 500 : 204)(response, received);
    });
    const { id, secret } = await makeEndpoint(database, receiver.url);
    await inlet.write('again', '{"data": {"id": "a"}}');
    const [row] = await done(database, id);
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

  test('are given up after the last retry, and the endpoint is known to be failing', async ({
    store: { database },
  }) => {
    const receiver = await startReceiver(answering(503));
    const { id } = await makeEndpoint(database, receiver.url);
    await makeDeliveries(database, id, 1);
    const [row] = await done(database, id);
    expect(row).toMatchObject({ status: 'failed', tries: 4, completed_at: expect.any(Date) });
    expect(receiver.received).toHaveLength(4);
    expect(await endpointState(database, id)).toMatchObject({
      failing_since: expect.any(Date),
      disabled_at: null,
    });
    receiver.answer = answering(200);
    await makeDeliveries(database, id, 1, { prefix: 'next' });
    await done(database, id);
    expect(await endpointState(database, id)).toMatchObject({ failing_since: null });
  });

  test('reach an endpoint that was made over HTTP: tested, rotated and replayed', async ({
    inlet,
    store: { database },
  }) => {
    const receiver = await startReceiver(answering(500));
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
    expect(await done(database, id)).toMatchObject([{ status: 'failed', tries: 4 }]);
    receiver.answer = answering(200);
    await call(`/${id}/replay`, { since });
    const row = await waitFor('the replay to succeed', async () =>
      (await deliveriesOf(database, id)).find(({ status }) => status === 'succeeded'),
    );
    expect(row.attempts.map(({ status_code }) => status_code)).toEqual([500, 500, 500, 500, 200]);
    await call(`/${id}/test`);
    await waitFor('the test event', () => receiver.ids.size === 2);
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

  test('of a fast receiver are not held up by one that hangs, nor more sent to that than it may get', async ({
    store: { database },
  }) => {
    const slow = await startReceiver(() => undefined);
    const fast = await startReceiver();
    const hanging = await makeEndpoint(database, slow.url);
    const { id } = await makeEndpoint(database, fast.url);
    await makeDeliveries(database, hanging.id, 50);
    await waitFor('as many as it may get', () => slow.received.length >= 10);
    await makeDeliveries(database, id, 150);
    await done(database, id);
    expect(fast.ids.size).toBe(150);
    // Those of one endpoint at one time.
    expect(slow.received).toHaveLength(10);
  });

  test('stop when the receiver answers 410, and go on when the endpoint is enabled again', async ({
    store: { database },
  }) => {
    const receiver = await startReceiver(answering(410));
    const { id } = await makeEndpoint(database, receiver.url);
    await makeDeliveries(database, id, 100);
    await disabled(database, id, 'gone');
    // Those that were on their way together, and no more; their answers are known, too, when they are kept.
    await waitFor('all answers to be kept', async () => {
      const rows = await deliveriesOf(database, id);
      const attempts = rows.reduce((sum, { tries }) => sum + tries, 0);
      return rows.every(({ status }) => status === 'pending') && attempts === receiver.received.length;
    });
    expect(receiver.received.length).toBeLessThanOrEqual(20);
    receiver.answer = answering(200);
    await changeEndpoint(database, id, `disabled_at = NULL, disabled_reason = NULL, failing_since = NULL`);
    await done(database, id);
    expect(receiver.ids.size).toBe(100);
  });

  test('wait as long as a receiver asks for', async ({ store: { database } }) => {
    const receiver = await startReceiver((response, received) => {
      const isFirst = receiver.received.length === 1;
      (isFirst ? answering(429, { 'retry-after': '1' }) : answering(200))(response, received);
    });
    const { id } = await makeEndpoint(database, receiver.url, { rate: 50 });
    await makeDeliveries(database, id, 20);
    await paused(database, id);
    await done(database, id);
    // Beside those that were on their way already.
    const first = receiver.received[0]?.at ?? 0;
    const within = receiver.received.filter(({ at }) => at - first < 950);
    expect(within.length).toBeLessThanOrEqual(11);
    expect(receiver.ids.size).toBe(20);
    const rows = await deliveriesOf(database, id);
    expect(rows.map(({ tries }) => tries).sort()).toEqual([...Array(19).fill(1), 2]);
  });

  test('are not sent while the endpoint is disabled, and are sent when it no longer is', async ({
    store: { database },
  }) => {
    const receiver = await startReceiver();
    const other = await startReceiver();
    const { id } = await makeEndpoint(database, receiver.url);
    const set = (sql: string) => changeEndpoint(database, id, sql);
    await set(`disabled_at = now(), disabled_reason = 'requested'`);
    await makeDeliveries(database, id, 5);
    const { id: enabled } = await makeEndpoint(database, other.url);
    await makeDeliveries(database, enabled, 5);
    await done(database, enabled);
    expect(receiver.received).toEqual([]);
    await set('disabled_at = NULL, disabled_reason = NULL');
    await done(database, id);
    expect(receiver.ids.size).toBe(5);
  });
}
