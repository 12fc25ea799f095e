/** What can be asked about requests while they are on their way and when they are done. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { listRequests } from '../../src/ingest/request-list.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { BatchQueue } from '../../src/queue/queue.ts';
import type { Database } from '../../src/store/database.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import type { RequestAnswer } from '../support/inlet.ts';
import { eventually, TestInlet, testConfig } from '../support/inlet.ts';
import { depthOf, describeOnBothQueues, openProvider, whenConnected } from '../support/queues.ts';
import { openTestStore } from '../support/store.ts';

interface Page {
  readonly data: readonly Omit<RequestAnswer, 'data' | 'errors'>[];
  readonly next_cursor: string | null;
}

describeOnBothQueues('requests', ({ redisUrl }) => {
  /** Has no worker of its own: a test adds one where requests are to be finished. */
  let inlet: TestInlet;
  let database: Database;
  let queue: BatchQueue;
  let drop: () => Promise<void>;

  beforeAll(async () => {
    const store = await openTestStore();
    drop = store.close;
    database = store.database;
    const config = testConfig({ databaseUrl: store.url, redisUrl });
    inlet = await TestInlet.start(config, { workers: 0 });
    queue = openProvider(config).openQueue();
    await whenConnected(() => depthOf(queue));
  });

  afterAll(async () => {
    await queue?.close();
    await inlet?.close();
    await drop?.();
  });

  async function page(namespace: string, query: string): Promise<Page> {
    const response = await inlet.fetch(`/v1/data/${namespace}/requests?${query}`);
    const text = await response.text();
    expect(response.status, text).toBe(200);
    return JSON.parse(text) as Page;
  }

  /** All pages from the first one on. */
  async function list(namespace: string, query = 'limit=500'): Promise<Page['data']> {
    const all: Page['data'][number][] = [];
    let cursor = '';
    for (;;) {
      const { data, next_cursor } = await page(namespace, query + cursor);
      all.push(...data);
      if (next_cursor === null) return all;
      cursor = `&cursor=${next_cursor}`;
    }
  }

  const ids = (requests: Page['data']): string[] => requests.map(({ request_id }) => request_id);

  const write = (namespace: string, id = 'x'): Promise<string> =>
    inlet.write(namespace, `{"data":{"id":"${id}"}}`);

  /** Requests that share as few batches as possible, oldest first. */
  async function writeSeveral(namespace: string, count: number): Promise<string[]> {
    const written: string[] = [];
    for (let i = 0; i < count; i += 1) written.push(await write(namespace));
    return written;
  }

  async function withWorker<T>(use: () => Promise<T>): Promise<T> {
    const stop = await inlet.addWorker();
    try {
      return await use();
    } finally {
      await stop();
    }
  }

  it('are listed newest first, from the queue and from Postgres as if they were in one place', async () => {
    const done = await writeSeveral('mixed', 7);
    await withWorker(() => Promise.all(done.map((id) => inlet.done('mixed', id))));
    const waiting = await writeSeveral('mixed', 6);
    const others = await writeSeveral('other', 2);
    // Several in one batch, of which only some are this namespace's.
    const together = await Promise.all(
      Array.from({ length: 8 }, (_, i) => write(i % 2 === 0 ? 'mixed' : 'other')),
    );
    const expected = [...done, ...waiting, ...together.filter((_, i) => i % 2 === 0)].sort().reverse();

    const all = await list('mixed');
    expect(ids(all)).toEqual(expected);
    for (const item of all) {
      const { data, errors, ...single } = await inlet.status('mixed', item.request_id);
      expect(item).toEqual(single);
      expect(item.status).toBe(done.includes(item.request_id) ? 'succeeded' : 'queued');
    }
    for (const limit of [1, 2, 5, expected.length, expected.length + 1]) {
      expect(ids(await list('mixed', `limit=${limit}`)), `limit ${limit}`).toEqual(expected);
      const first = await page('mixed', `limit=${limit}`);
      expect(ids(first.data)).toEqual(expected.slice(0, limit));
      expect(first.next_cursor === null).toBe(limit >= expected.length);
    }
    expect(ids(await list('mixed', 'status=succeeded&limit=3'))).toEqual(done.toReversed());
    expect(ids(await list('mixed', 'status=queued&limit=3'))).toEqual(
      expected.filter((id) => !done.includes(id)),
    );
    expect(await list('mixed', 'status=ingesting')).toEqual([]);
    expect(await page('nobody', '')).toEqual({ data: [], next_cursor: null });
    await withWorker(() =>
      Promise.all([
        ...waiting.map((id) => inlet.done('mixed', id)),
        ...others.map((id) => inlet.done('other', id)),
      ]),
    );
  });

  it('that are stored but still in the queue are listed once, and as stored', async () => {
    const batch = handMadeBatch(Date.now() * 1_000, [
      { namespace: 'both', objects: [object('a')] },
      { namespace: 'both', objects: [object('b')] },
    ]);
    await queue.add(batch);
    await storeBatch(database, batch);
    const expected = [requestIdAt(batch.id, 1), requestIdAt(batch.id, 0)];
    const all = await list('both', 'limit=1');
    expect(ids(all)).toEqual(expected);
    expect(all.map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
    expect(await list('both', 'status=queued')).toEqual([]);
    expect(ids(await list('both', 'status=succeeded'))).toEqual(expected);
    await withWorker(() => eventually(async () => (await depthOf(queue)) === 0 || undefined));
  });

  it('that failed are found by their status, with counts', async () => {
    const batch = handMadeBatch(Date.now() * 1_000, [
      { namespace: 'failed', objects: [object('a'), ['bad', '{"id":"bad","v":"\\u0000"}']] },
      { namespace: 'failed', objects: [object('c')] },
    ]);
    await storeBatch(database, batch);
    const [failed, ...rest] = await list('failed', 'status=failed');
    expect(rest).toEqual([]);
    expect(failed).toMatchObject({
      request_id: requestIdAt(batch.id, 0),
      status: 'failed',
      counts: { objects: 2, stored: 1, failed: 1 },
    });
    const answer = await inlet.status('failed', requestIdAt(batch.id, 0));
    expect(answer.data.map(({ id }) => id)).toEqual(['a']);
    expect(answer.errors).toEqual([{ index: 1, id: 'bad', message: expect.any(String) }]);
  });

  it('are listed without one missing or twice while others are written and all are finished', async () => {
    const frozen = await writeSeveral('moving', 60);
    let writing = true;
    const newer: string[] = [];
    const writer = (async () => {
      while (writing) {
        newer.push(await write('moving'));
        await delay(20);
      }
    })();
    await withWorker(async () => {
      for (let round = 0; round < 4; round += 1) {
        const all = ids(await list('moving', 'limit=7'));
        expect(all).toEqual([...new Set(all)].sort().reverse());
        expect(all.filter((id) => id <= (frozen.at(-1) ?? ''))).toEqual(frozen.toReversed());
      }
      writing = false;
      await writer;
      for (const id of [...frozen, ...newer]) await inlet.done('moving', id);
    });
    expect(ids(await list('moving'))).toEqual([...frozen, ...newer].reverse());
  });

  it('asked for from the moment of the 202 until they are done never go missing, nor a step back', async () => {
    const order = ['queued', 'ingesting', 'succeeded'];
    await withWorker(async () => {
      const seen = new Set<string>();
      const follow = async (): Promise<void> => {
        const requestId = await write('follow');
        for (let last = 0; last < 2; ) {
          const { status } = await inlet.status('follow', requestId);
          const step = order.indexOf(status);
          expect(step, `${status} after ${order[last]}`).toBeGreaterThanOrEqual(last);
          last = step;
          seen.add(status);
        }
        const [listed] = (await list('follow')).filter(({ request_id }) => request_id === requestId);
        expect(listed?.status).toBe('succeeded');
      };
      for (let round = 0; round < 5; round += 1) await Promise.all(Array.from({ length: 10 }, follow));
      expect(seen).toContain('succeeded');
    });
  });

  it('listed from the moment of the 202 until they are done never go missing, nor a step back', async () => {
    const order = ['queued', 'ingesting', 'succeeded'];
    await withWorker(async () => {
      for (let round = 0; round < 20; round += 1) {
        const requestId = await write('watch');
        for (let last = 0; last < 2; ) {
          const [newest] = (await page('watch', 'limit=1')).data;
          expect(newest?.request_id).toBe(requestId);
          const step = order.indexOf(newest?.status ?? '');
          expect(step).toBeGreaterThanOrEqual(last);
          last = step;
        }
      }
    });
  });

  it('are all found behind a queue of others that takes longer to look through than a page may', async () => {
    const first = await write('behind');
    const others = await writeSeveral('crowd', 12);
    const last = await write('behind');
    const slow = {
      batchIds: () => queue.batchIds(),
      find: async (id: string) => {
        await delay(400);
        return queue.find(id);
      },
    };
    const found: string[] = [];
    let after: string | undefined;
    let pages = 0;
    do {
      const started = performance.now();
      const next = await listRequests(database, slow, 'behind', { limit: 10, after, status: undefined });
      expect(performance.now() - started).toBeLessThan(4_000);
      found.push(...next.requests.map(({ id }) => id));
      after = next.next;
      pages += 1;
    } while (after !== undefined);
    expect(found).toEqual([last, first]);
    expect(pages).toBeGreaterThan(2);
    await withWorker(() => Promise.all(others.map((id) => inlet.done('crowd', id))));
  });

  describe('a list that cannot be', () => {
    it.each([
      ['limit=0', '/limit'],
      ['limit=501', '/limit'],
      ['limit=1.5', '/limit'],
      ['limit=many', '/limit'],
      ['limit=1&limit=2', '/limit'],
      ['status=done', '/status'],
      ['status=', '/status'],
      ['status=queued&status=failed', '/status'],
      ['cursor=x', undefined],
      [`cursor=${Buffer.from('product_1').toString('base64url')}`, undefined],
    ])('%s gets 400', async (query, path) => {
      const response = await inlet.fetch(`/v1/data/bad/requests?${query}`);
      expect(response.status).toBe(400);
      const problem = (await response.json()) as { detail: string; errors?: { path: string }[] };
      expect(problem.errors?.[0]?.path).toBe(path);
      expect(problem.detail).toContain(path?.slice(1) ?? 'cursor');
    });
  });
});
