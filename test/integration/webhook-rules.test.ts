/** What holds of webhooks whichever the queue is: signatures, rates, pauses, and who is sent to no more. */
import { describe, expect } from 'vitest';
import { readDelivery } from '../../src/store/webhook-due.ts';
import { conclude } from '../../src/webhooks/conclude.ts';
import { keepOutcomes } from '../../src/webhooks/keep-outcomes.ts';
import { aroundEach, disabled, done, OPTIONS, paused } from '../support/delivered.ts';
import { inletTest } from '../support/fixtures.ts';
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

const test = inletTest(OPTIONS);

describe('webhooks, whichever the queue is,', () => {
  aroundEach(test);

  test('tell of each object that could not be stored', async ({ inlet, store: { database } }) => {
    const receiver = await startReceiver();
    const { id, secret } = await makeEndpoint(database, receiver.url, { events: ['workflow.failed'] });
    const requestId = await inlet.write('shop', '{"data": [{"id": "good"}, {"id": "bad", "refuse": 1}]}');
    await done(database, id);
    expect(receiver.received.map((received) => verify(received, secret))).toEqual([
      {
        type: 'workflow.failed',
        namespace: 'shop',
        id: 'bad',
        request_id: requestId,
        accepted_at: expect.any(String),
        stamp: expect.stringMatching(/^\d+$/),
        error: expect.stringContaining('constraint'),
      },
    ]);
  });

  test('are signed with both secrets while an old one is valid, and not with one that is void', async ({
    store: { database },
  }) => {
    const receiver = await startReceiver();
    const { id, secret } = await makeEndpoint(database, receiver.url);
    const [old, expired] = [newSecret(), newSecret()];
    await database.query({
      text: `INSERT INTO inlet.webhook_secrets (endpoint_id, secret, expires_at)
       VALUES ('${id}', '${old}', now() + interval '1 hour'), ('${id}', '${expired}', now() - interval '1 second')`,
    });
    await makeDeliveries(database, id, 1);
    await done(database, id);
    const [received] = receiver.received;
    if (!received) throw new Error('nothing came');
    expect(String(received.headers['webhook-signature']).split(' ')).toHaveLength(2);
    verify(received, secret);
    verify(received, old);
    expect(() => verify(received, expired)).toThrow();
  });

  test('keep to the rate of the endpoint', async ({ store: { database } }) => {
    const receiver = await startReceiver();
    const { id } = await makeEndpoint(database, receiver.url, { rate: 40 });
    await makeDeliveries(database, id, 60);
    await done(database, id);
    const times = receiver.received.map(({ at }) => at);
    expect(times).toHaveLength(60);
    // 59 of them wait for a fortieth of a second each.
    expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(1_250);
  });

  test('are due again when a receiver says so, and not before', async ({ store: { database } }) => {
    const receiver = await startReceiver(answering(503, { 'retry-after': '3600' }));
    const { id } = await makeEndpoint(database, receiver.url);
    await makeDeliveries(database, id, 1);
    const row = await waitFor('the first attempt', async () =>
      (await deliveriesOf(database, id)).find(({ tries }) => tries === 1),
    );
    expect(row).toMatchObject({ status: 'pending' });
    expect(row.due_in).toBeGreaterThan(3_500);
    expect(row.due_in).toBeLessThanOrEqual(3_600);
    expect(Number(await paused(database, id)) - Date.now()).toBeGreaterThan(3_500_000);
  });

  test('end where the endpoint has failed for five days, and the log says so', async ({
    store: { database },
  }) => {
    const receiver = await startReceiver(answering(500));
    const { id } = await makeEndpoint(database, receiver.url);
    await changeEndpoint(database, id, `failing_since = now() - interval '5 days 1 minute'`);
    await makeDeliveries(database, id, 1);
    await disabled(database, id, 'failing');
    expect(await deliveriesOf(database, id)).toMatchObject([{ status: 'pending', tries: 1 }]);
    // With one success in between it would not.
    const other = await makeEndpoint(database, receiver.url);
    await changeEndpoint(database, other.id, `failing_since = now() - interval '5 days 1 minute'`);
    receiver.answer = answering(200);
    await makeDeliveries(database, other.id, 1);
    await done(database, other.id);
    expect(await endpointState(database, other.id)).toMatchObject({
      failing_since: null,
      disabled_at: null,
    });
  });

  test('go to no endpoint that asks for them no more, though they were written for it', async ({
    store: { database },
  }) => {
    const receiver = await startReceiver();
    const { id } = await makeEndpoint(database, receiver.url, { namespaces: ['mine'] });
    await makeDeliveries(database, id, 150, { prefix: 'a', namespace: 'taken' });
    await makeDeliveries(database, id, 1, { prefix: 'b', namespace: 'mine' });
    const rows = await done(database, id);
    expect(rows).toMatchObject([{ webhook_id: 'b_1', status: 'succeeded' }]);
    expect(receiver.ids).toEqual(new Set(['b_1']));
  });

  test('are looked at once more where they are large, and wait for their turn', async ({
    store: { database },
  }) => {
    const url = 'https://receiver.example/';
    const { id } = await makeEndpoint(database, url, { namespaces: ['mine'] });
    await changeEndpoint(database, id, `paused_until = now() + interval '1 hour'`);
    await makeDeliveries(database, id, 1, { namespace: 'mine' });
    const read = (at: string) => readDelivery(database, { id, url: at }, 'msg_1');
    expect(await read(url)).toBeUndefined();
    await changeEndpoint(database, id, 'paused_until = now()');
    expect(await read(url)).toMatchObject({ namespace: 'mine' });
    expect(await read('https://other.example/')).toBeUndefined();
    await changeEndpoint(database, id, `namespaces = '{other}'`);
    expect(await read(url)).toBeUndefined();
  });

  test('that fail disable no endpoint because the clock of the worker is days off', async ({
    store: { database },
  }) => {
    const { id } = await makeEndpoint(database, 'https://receiver.example/');
    const attempt = { outcome: 'rejected', statusCode: 500, response: '', error: 'no' } as const;
    const begun = Date.now() - 6 * 24 * 3_600_000;
    const made = { endpointId: id, webhookId: 'msg_1', tries: 0, attempt, begun, durationMs: 1 };
    expect(await keepOutcomes(database, [conclude(made, [1_000], false)])).toEqual([]);
    const { failing_since, disabled_at } = await endpointState(database, id);
    expect(disabled_at).toBeNull();
    expect(Number(failing_since)).toBeGreaterThan(Date.now() - 60_000);
  });

  test('with much in them are sent as well, few at a time', async ({ store: { database } }) => {
    const receiver = await startReceiver();
    const { id } = await makeEndpoint(database, receiver.url);
    await makeDeliveries(database, id, 3, {
      prefix: 'large',
      metadata: `{"text": "${'x'.repeat(2_000_000)}"}`,
    });
    await makeDeliveries(database, id, 40, {
      prefix: 'medium',
      metadata: `{"text": "${'y'.repeat(20_000)}"}`,
    });
    await done(database, id);
    expect(receiver.ids.size).toBe(43);
    expect(receiver.received).toHaveLength(43);
    const sizes = receiver.received.map(({ body }) => body.length);
    expect(sizes.filter((size) => size > 2_000_000)).toHaveLength(3);
    expect(sizes.filter((size) => size > 20_000)).toHaveLength(43);
  });
});
