/** Deliveries over HTTP: listed with their attempts, of what a key may see, in pages. */
import { describe, expect } from 'vitest';
import type { Database, Queryable } from '../../src/store/database.ts';
import { listDeliveries } from '../../src/store/webhook-deliveries.ts';
import type { TestInlet } from '../support/inlet.ts';
import type { MadeKey } from '../support/keys.ts';
import { bearer } from '../support/keys.ts';
import type { DeliveryPage, GivenDelivery } from '../support/webhook-deliveries.ts';
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

function get(inlet: TestInlet, query: string, as?: MadeKey): Promise<Response> {
  return inlet.fetch(DELIVERIES + query, as ? { headers: bearer(as) } : {});
}

/** The deliveries of all pages, as `webhook_id endpoint`. */
async function walk(
  inlet: TestInlet,
  query = '',
  as?: MadeKey,
): Promise<{ places: string[]; sizes: number[] }> {
  const places: string[] = [];
  const sizes: number[] = [];
  for (let cursor = ''; ; ) {
    const { data, next_cursor } = await answer<DeliveryPage>(
      await get(inlet, `?${query}${cursor === '' ? '' : `&cursor=${cursor}`}`, as),
    );
    places.push(...data.map(({ webhook_id, endpoint_id }) => `${webhook_id} ${endpoint_id}`));
    sizes.push(data.length);
    if (next_cursor === null) return { places, sizes };
    cursor = next_cursor;
  }
}

interface Plan {
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly Plans?: readonly Plan[];
}

/** How many rows of deliveries Postgres looks at for one statement. */
async function rowsRead(database: Database, run: (on: Queryable) => Promise<unknown>): Promise<number> {
  let total = 0;
  const count = (plan: Plan): void => {
    const { 'Actual Rows': rows, 'Actual Loops': loops, 'Rows Removed by Filter': removed = 0 } = plan;
    if (plan['Relation Name'] === 'webhook_deliveries') total += (rows + removed) * loops;
    plan.Plans?.forEach(count);
  };
  await run({
    async query({ text, values }) {
      const [row] = await database.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>({
        text: `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
        ...(values ? { values } : {}),
      });
      if (row) count(row['QUERY PLAN'][0].Plan);
      return [];
    },
    write: () => Promise.reject(new Error('it only reads')),
  });
  return total;
}

describe('the list of deliveries', () => {
  test('shows what was sent with each attempt, and what is still to be sent', async ({
    inlet,
    store: { database },
  }) => {
    const attempts = [
      {
        at: '2026-11-22T19:00:01.000Z',
        status_code: null,
        duration_ms: 15_000,
        response: '',
        error: 'no answer within 15 s',
      },
      {
        at: '2026-11-22T19:00:06.000Z',
        status_code: 200,
        duration_ms: 12,
        response: 'x'.repeat(1_024),
        error: null,
      },
    ];
    await insertDeliveries(database, FIRST, [
      { webhookId: 'msg_1', status: 'succeeded', attempts },
      { webhookId: 'msg_2' },
    ]);
    const [pending, succeeded] = (await answer<DeliveryPage>(await get(inlet, ''))).data;
    expect(succeeded).toEqual({
      webhook_id: 'msg_1',
      endpoint_id: FIRST,
      type: 'workflow.succeeded',
      namespace: 'mine',
      id: 'object',
      request_id: 'req_01h2m7qdmdjckc30e1mnq6xqfd',
      accepted_at: '2026-11-22T19:00:00.000000Z',
      status: 'succeeded',
      attempts,
      next_attempt_at: null,
      created_at: '2026-11-22T19:00:00.000000Z',
      completed_at: '2026-11-22T19:00:00.000000Z',
    });
    expect(pending).toMatchObject({
      status: 'pending',
      attempts: [],
      next_attempt_at: expect.any(String),
      completed_at: null,
    });
  });

  test('has the newest event first, of all endpoints together, in pages that repeat and miss nothing', async ({
    inlet,
    store: { database },
  }) => {
    const ids = Array.from({ length: 7 }, (_, n) => `msg_${n}`);
    for (const endpoint of [FIRST, SECOND, OTHER])
      await insertDeliveries(
        database,
        endpoint,
        ids.map((webhookId) => ({ webhookId })),
      );
    const expected = ids.toReversed().flatMap((id) => [OTHER, SECOND, FIRST].map((to) => `${id} ${to}`));
    for (const limit of [1, 2, 4, 21, 500]) {
      const { places, sizes } = await walk(inlet, `limit=${limit}`);
      expect(places).toEqual(expected);
      expect(Math.max(...sizes)).toBe(Math.min(limit, 21));
    }
  });

  test('picks by endpoint, event and status', async ({ inlet, store: { database } }) => {
    const statuses = ['pending', 'succeeded', 'failed'] as const;
    const given = Array.from({ length: 9 }, (_, n): GivenDelivery => {
      const status = statuses[n % 3] ?? 'pending';
      return { webhookId: `msg_${n}`, status };
    });
    await insertDeliveries(database, FIRST, given);
    await insertDeliveries(database, SECOND, given);
    const both = (n: number): string[] => [`msg_${n} ${SECOND}`, `msg_${n} ${FIRST}`];
    expect((await walk(inlet, 'status=failed&limit=2')).places).toEqual([8, 5, 2].flatMap(both));
    expect((await walk(inlet, 'status=pending&limit=500')).places).toEqual([6, 3, 0].flatMap(both));
    expect((await walk(inlet, `endpoint=${FIRST}&limit=4`)).places).toEqual(
      given.map(({ webhookId }) => `${webhookId} ${FIRST}`).reverse(),
    );
    expect((await walk(inlet, `endpoint=${SECOND}&status=succeeded&limit=1`)).places).toEqual(
      [7, 4, 1].map((n) => `msg_${n} ${SECOND}`),
    );
    expect((await walk(inlet, 'webhook_id=msg_4')).places).toEqual(both(4));
    expect((await walk(inlet, 'webhook_id=msg_9')).places).toEqual([]);
    for (const [query, status] of [
      ['?status=lost', 400],
      ['?limit=0', 400],
      ['?endpoint=x', 400],
      ['?webhook_id=x', 400],
      ['?cursor=bXNnXzE', 400],
      [`?endpoint=ep_4eC39HqLyjWDarjt`, 404],
    ] as const)
      await answer(await get(inlet, query), status);
  });

  test('has what the key may see: its endpoints, and of these no namespace that they were once for', async ({
    inlet,
    store: { database },
    key,
  }) => {
    const given = [
      { webhookId: 'msg_1' },
      { webhookId: 'msg_2', namespace: 'theirs' },
      { webhookId: 'msg_3', namespace: '', type: 'webhook.test' },
    ];
    for (const endpoint of [FIRST, OTHER]) await insertDeliveries(database, endpoint, given);
    expect((await walk(inlet, '', key)).places).toEqual([`msg_3 ${FIRST}`, `msg_1 ${FIRST}`]);
    expect((await walk(inlet, '')).places).toHaveLength(6);
    await answer(await get(inlet, `?endpoint=${OTHER}`, key), 404);
    const [test] = (await answer<DeliveryPage>(await get(inlet, '?webhook_id=msg_3', key))).data;
    expect(test).toMatchObject({ namespace: null, id: null, type: 'webhook.test' });
  });

  test('ends a page before its attempts come to more than 5 MiB', async ({ inlet, store: { database } }) => {
    const attempt = {
      at: '2026-11-22T19:00:01Z',
      status_code: 500,
      duration_ms: 1,
      response: '',
      error: 'x',
    };
    const attempts = Array.from({ length: 500 }, () => ({ ...attempt, response: 'x'.repeat(1_024) }));
    await insertDeliveries(
      database,
      FIRST,
      Array.from({ length: 20 }, (_, n) => ({ webhookId: `msg_${n + 10}`, attempts })),
    );
    const { places, sizes } = await walk(inlet, 'limit=500');
    expect(places).toEqual(Array.from({ length: 20 }, (_, n) => `msg_${29 - n} ${FIRST}`));
    expect(sizes).toEqual([9, 9, 2]);
  });

  test('reads the newest from the index, and not all that there are', async ({ store: { database } }) => {
    await database.query({
      text: `INSERT INTO inlet.webhook_deliveries
               (endpoint_id, webhook_id, type, namespace, object_id, request_id, accepted_at, status)
             SELECT e, 'msg_' || lpad(n::text, 8, '0'), 'workflow.succeeded', 'mine', 'o', 'r', now(),
                    CASE WHEN n % 1000 = 0 THEN 'failed' ELSE 'succeeded' END
             FROM unnest($1::text[]) AS e, generate_series(1, 20000) AS n`,
      values: [[FIRST, SECOND]],
    });
    await database.query({ text: 'VACUUM ANALYZE inlet.webhook_deliveries' });
    const after = { webhookId: 'msg_00010000', endpointId: SECOND };
    for (const [filter, most] of [
      [{}, 200],
      [{ after }, 200],
      [{ endpointId: FIRST }, 100],
      [{ status: 'failed' }, 200],
      [{ status: 'failed', after }, 200],
      [{ status: 'pending' }, 0],
      [{ webhookId: 'msg_00000001' }, 10],
    ] as const) {
      const all = {
        endpointId: undefined,
        webhookId: undefined,
        status: undefined,
        after: undefined,
        limit: 20,
      };
      const read = await rowsRead(database, (on) =>
        listDeliveries(on, ['mine', 'also'], { ...all, ...filter }),
      );
      expect(read, JSON.stringify(filter)).toBeLessThanOrEqual(most);
    }
  });
});
