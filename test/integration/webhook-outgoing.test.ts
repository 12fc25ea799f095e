/** What is to be sent, and no more: test events, replays, and what changes of an endpoint drop. */
import type { QueryResultRow } from 'pg';
import { describe, expect } from 'vitest';
import type { Database, Queryable, Statement } from '../../src/store/database.ts';
import { replayDeliveries } from '../../src/store/webhook-outgoing.ts';
import type { ProblemAnswer, TestInlet } from '../support/inlet.ts';
import type { MadeKey } from '../support/keys.ts';
import { bearer } from '../support/keys.ts';
import type { DeliveryPage } from '../support/webhook-deliveries.ts';
import {
  answer,
  DELIVERIES,
  deliveriesTest,
  FIRST,
  insertDeliveries,
  OTHER,
  SECOND,
} from '../support/webhook-deliveries.ts';

const test = deliveriesTest();

async function post(inlet: TestInlet, path: string, body?: unknown, as?: MadeKey): Promise<Response> {
  return inlet.fetch(`/v1/webhooks/endpoints/${path}`, {
    method: 'POST',
    ...(as ? { headers: bearer(as) } : {}),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function replay(inlet: TestInlet, endpoint: string, body: object, as?: MadeKey): Promise<number> {
  return (await answer<{ replayed: number }>(await post(inlet, `${endpoint}/replay`, body, as))).replayed;
}

/** The status and tries of each delivery to an endpoint, by its id. */
async function statesOf(database: Database, endpoint: string): Promise<Record<string, string>> {
  const rows = await database.query<{ webhook_id: string; state: string }>({
    text: `SELECT webhook_id,
                  status || ' ' || tries || CASE WHEN next_attempt_at <= now() THEN ' due' ELSE ' later' END
                    || CASE WHEN completed_at IS NULL THEN '' ELSE ' completed' END AS state
           FROM inlet.webhook_deliveries WHERE endpoint_id = $1`,
    values: [endpoint],
  });
  return Object.fromEntries(rows.map(({ webhook_id, state }) => [webhook_id, state]));
}

describe('a test event', () => {
  test('is written as due at once, by the id of the answer', async ({ inlet, store: { database }, key }) => {
    const response = await post(inlet, `${FIRST}/test`, undefined, key);
    const requestId = response.headers.get('x-request-id') ?? '';
    const body = await answer<{ webhook_id: string }>(response, 202);
    expect(body).toEqual({ webhook_id: `${requestId.replace('req_', 'msg_')}_test`, status: 'pending' });
    expect(await statesOf(database, FIRST)).toEqual({ [body.webhook_id]: 'pending 0 due' });
    const listed = await answer<DeliveryPage>(await inlet.fetch(DELIVERIES, { headers: bearer(key) }));
    expect(listed.data).toMatchObject([
      { webhook_id: body.webhook_id, request_id: requestId, type: 'webhook.test' },
    ]);
  });

  test('is refused where nothing would be sent', async ({ inlet, store: { database } }) => {
    await database.query({
      text: `UPDATE inlet.webhook_endpoints SET disabled_at = now(), disabled_reason = 'gone' WHERE endpoint_id = $1`,
      values: [FIRST],
    });
    const response = await post(inlet, `${FIRST}/test`);
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect((await answer<ProblemAnswer>(response, 409)).detail).toContain('enable it first');
    expect(await statesOf(database, FIRST)).toEqual({});
  });
});

describe('a replay', () => {
  const since = '2026-11-22T19:00:00Z';
  const AGAIN = 'pending 0 due';

  test.beforeEach(async ({ store: { database } }) => {
    await insertDeliveries(database, SECOND, [
      { webhookId: 'msg_before', status: 'failed', createdAt: '2026-11-22T18:59:59.999Z' },
      { webhookId: 'msg_failed', status: 'failed', createdAt: since },
      { webhookId: 'msg_later', status: 'failed', createdAt: '2026-11-23T00:00:00Z' },
      { webhookId: 'msg_succeeded', status: 'succeeded' },
      { webhookId: 'msg_pending', status: 'pending' },
      { webhookId: 'msg_theirs', status: 'failed', namespace: 'theirs' },
      { webhookId: 'msg_also', status: 'failed', namespace: 'also', type: 'workflow.failed' },
      { webhookId: 'msg_test', status: 'failed', namespace: '', type: 'webhook.test' },
    ]);
    await database.query({
      text: `UPDATE inlet.webhook_deliveries SET next_attempt_at = now() + interval '1 hour', tries = 3`,
    });
    await insertDeliveries(database, FIRST, [{ webhookId: 'msg_failed', status: 'failed' }]);
  });

  const unchanged = {
    msg_before: 'failed 3 later completed',
    msg_theirs: 'failed 3 later completed',
    msg_test: 'failed 3 later completed',
    // It goes on with its schedule, but now.
    msg_pending: 'pending 3 due',
  };

  test('sends again what has failed since then, and leaves all else as it is', async ({
    inlet,
    store: { database },
    key,
  }) => {
    expect(await replay(inlet, SECOND, { since }, key)).toBe(4);
    expect(await statesOf(database, SECOND)).toEqual({
      ...unchanged,
      msg_failed: AGAIN,
      msg_later: AGAIN,
      msg_also: AGAIN,
      msg_succeeded: 'succeeded 3 later completed',
    });
    expect(await statesOf(database, FIRST)).toEqual({ msg_failed: expect.stringMatching(/^failed/) });
    expect(await replay(inlet, SECOND, { since, status: 'failed' })).toBe(0);
  });

  test('sends again what was delivered, too, where all is asked for', async ({
    inlet,
    store: { database },
    key,
  }) => {
    expect(await replay(inlet, SECOND, { since, status: 'all' }, key)).toBe(5);
    expect(await statesOf(database, SECOND)).toEqual({
      ...unchanged,
      msg_failed: AGAIN,
      msg_later: AGAIN,
      msg_also: AGAIN,
      msg_succeeded: AGAIN,
    });
  });

  test('sends what the endpoint asks for now', async ({ inlet, store: { database } }) => {
    const body = JSON.stringify({ events: ['workflow.failed'] });
    await inlet.fetch(`/v1/webhooks/endpoints/${SECOND}`, { method: 'PATCH', body });
    expect(await replay(inlet, SECOND, { since, status: 'all' })).toBe(1);
    expect((await statesOf(database, SECOND))['msg_also']).toBe(AGAIN);
  });

  test('goes through more than one step writes', async ({ inlet, store: { database } }) => {
    const many = Array.from({ length: 12_000 }, (_, n) => ({
      webhookId: `msg_n${n}`,
      status: 'failed' as const,
    }));
    await insertDeliveries(database, FIRST, many);
    expect(await replay(inlet, FIRST, { since: '2026-01-01T00:00:00+02:00' })).toBe(12_001);
    expect(new Set(Object.values(await statesOf(database, FIRST)))).toEqual(new Set([AGAIN]));
  });

  test('brings each delivery forward once, however quickly its attempts fail meanwhile', async ({
    store: { database },
  }) => {
    let steps = 0;
    const failing = async <T>(step: Promise<T>): Promise<T> => {
      steps += 1;
      if (steps > 10) throw new Error('the replay goes on and on');
      const result = await step;
      // The receiver is away, and a worker has noticed before the next step.
      await database.query({
        text: `UPDATE inlet.webhook_deliveries SET tries = tries + 1, next_attempt_at = now() + interval '5 minutes'
               WHERE endpoint_id = $1 AND status = 'pending' AND next_attempt_at <= now()`,
        values: [SECOND],
      });
      return result;
    };
    const on: Queryable = {
      query: <Row extends QueryResultRow>(statement: Statement) => failing(database.query<Row>(statement)),
      write: (statement) => failing(database.write(statement)),
    };
    const many = Array.from({ length: 6_000 }, (_, n) => ({ webhookId: `msg_n${n}` }));
    await insertDeliveries(database, SECOND, many);
    await database.query({
      text: `UPDATE inlet.webhook_deliveries SET next_attempt_at = now() + interval '1 hour', tries = 3
             WHERE endpoint_id = $1 AND status = 'pending'`,
      values: [SECOND],
    });
    const options = { since: new Date(since), status: 'failed' } as const;
    expect(await replayDeliveries(on, SECOND, options)).toBe(6_000 + 4);
    const { msg_pending, msg_n0, msg_n5999 } = await statesOf(database, SECOND);
    expect([msg_pending, msg_n0, msg_n5999]).toEqual([
      'pending 4 later',
      'pending 4 later',
      'pending 4 later',
    ]);
  });

  test('is refused where nothing would be sent, and leaves all as it is', async ({
    inlet,
    store: { database },
  }) => {
    await database.query({
      text: `UPDATE inlet.webhook_endpoints SET disabled_at = now(), disabled_reason = 'requested' WHERE endpoint_id = $1`,
      values: [SECOND],
    });
    const before = await statesOf(database, SECOND);
    const response = await post(inlet, `${SECOND}/replay`, { since });
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect((await answer<ProblemAnswer>(response, 409)).detail).toContain('enable it first');
    expect(await statesOf(database, SECOND)).toEqual(before);
  });

  test('needs a time', async ({ inlet }) => {
    for (const body of [{}, { since: 'yesterday' }, { since, until: since }])
      await answer(await post(inlet, `${SECOND}/replay`, body), 400);
  });
});

test('what an endpoint no longer asks for is dropped where it is still pending', async ({
  inlet,
  store: { database },
}) => {
  await insertDeliveries(database, SECOND, [
    { webhookId: 'msg_1' },
    { webhookId: 'msg_2', namespace: 'also' },
    { webhookId: 'msg_3', namespace: 'also', status: 'succeeded' },
    { webhookId: 'msg_4', type: 'workflow.failed' },
    { webhookId: 'msg_5', namespace: '', type: 'webhook.test' },
  ]);
  await insertDeliveries(database, OTHER, [{ webhookId: 'msg_2', namespace: 'also' }]);
  const patch = async (body: object) => {
    const response = await inlet.fetch(`/v1/webhooks/endpoints/${SECOND}`, {
      method: 'PATCH',
      body: JSON.stringify(body),
    });
    await answer(response);
    return Object.keys(await statesOf(database, SECOND)).sort();
  };
  expect(await patch({ description: 'x', disabled: true })).toHaveLength(5);
  expect(await patch({ namespaces: ['mine'] })).toEqual(['msg_1', 'msg_3', 'msg_4', 'msg_5']);
  expect(await patch({ events: ['workflow.succeeded'] })).toEqual(['msg_1', 'msg_3', 'msg_5']);
  expect(Object.keys(await statesOf(database, OTHER))).toEqual(['msg_2']);
});
