/** What can be asked about requests while they are on their way and when they are done. */
import { describe, expect, onTestFinished, vi } from 'vitest';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { listRequests as requestsFrom } from '../../src/ingest/request-list.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import type { InletTest } from '../support/fixtures.ts';
import { describeOnBothQueues } from '../support/fixtures.ts';
import { depthOf, openProvider, whenConnected } from '../support/queues.ts';
import {
  expectFollowed,
  expectWatched,
  expectWholeLists,
  idsOf,
  listRequests,
  requestPage,
  withWorker,
  writeOne,
  writeSeveral,
} from '../support/request-lists.ts';
import { waitFor } from '../support/wait-for.ts';

/** The queue beside the API's own connection to it. */
const withQueue = (test: InletTest) =>
  test.extend('queue', { scope: 'file' }, async ({ config }, { onCleanup }) => {
    const queue = openProvider(config).openQueue();
    onCleanup(() => queue.close());
    await whenConnected(() => depthOf(queue));
    return queue;
  });

// No worker: a test adds one where requests are to be finished.
describeOnBothQueues(
  'requests',
  (test) => {
    test('are listed newest first, from the queue and from Postgres as if they were in one place', async ({
      inlet,
    }) => {
      const done = await writeSeveral(inlet, 'mixed', 7);
      await withWorker(inlet, () => Promise.all(done.map((id) => inlet.done('mixed', id))));
      const waiting = await writeSeveral(inlet, 'mixed', 6);
      const others = await writeSeveral(inlet, 'other', 2);
      // Several in one batch, of which only some are this namespace's.
      const together = await Promise.all(
        Array.from({ length: 8 }, (_, i) => writeOne(inlet, i % 2 === 0 ? 'mixed' : 'other')),
      );
      const expected = [...done, ...waiting, ...together.filter((_, i) => i % 2 === 0)].sort().reverse();

      const all = await listRequests(inlet, 'mixed');
      expect(idsOf(all)).toEqual(expected);
      for (const item of all) {
        const { data, errors, ...single } = await inlet.status('mixed', item.request_id);
        expect(item).toEqual(single);
        expect(item.status).toBe(done.includes(item.request_id) ? 'succeeded' : 'queued');
      }
      for (const limit of [1, 2, 5, expected.length, expected.length + 1]) {
        expect(idsOf(await listRequests(inlet, 'mixed', `limit=${limit}`)), `limit ${limit}`).toEqual(
          expected,
        );
        const first = await requestPage(inlet, 'mixed', `limit=${limit}`);
        expect(idsOf(first.data)).toEqual(expected.slice(0, limit));
        expect(first.next_cursor === null).toBe(limit >= expected.length);
      }
      expect(idsOf(await listRequests(inlet, 'mixed', 'status=succeeded&limit=3'))).toEqual(
        done.toReversed(),
      );
      expect(idsOf(await listRequests(inlet, 'mixed', 'status=queued&limit=3'))).toEqual(
        expected.filter((id) => !done.includes(id)),
      );
      expect(await listRequests(inlet, 'mixed', 'status=ingesting')).toEqual([]);
      expect(await requestPage(inlet, 'nobody', '')).toEqual({ data: [], next_cursor: null });
      await withWorker(inlet, () =>
        Promise.all([
          ...waiting.map((id) => inlet.done('mixed', id)),
          ...others.map((id) => inlet.done('other', id)),
        ]),
      );
    });

    test('that are stored but still in the queue are listed once, and as stored', async ({
      store: { database },
      inlet,
      queue,
    }) => {
      const batch = handMadeBatch(Date.now() * 1_000, [
        { namespace: 'both', objects: [object('a')] },
        { namespace: 'both', objects: [object('b')] },
      ]);
      await queue.add(batch);
      await storeBatch(database, batch);
      const expected = [requestIdAt(batch.id, 1), requestIdAt(batch.id, 0)];
      const all = await listRequests(inlet, 'both', 'limit=1');
      expect(idsOf(all)).toEqual(expected);
      expect(all.map(({ status }) => status)).toEqual(['succeeded', 'succeeded']);
      expect(await listRequests(inlet, 'both', 'status=queued')).toEqual([]);
      expect(idsOf(await listRequests(inlet, 'both', 'status=succeeded'))).toEqual(expected);
      await withWorker(inlet, () => waitFor('an empty queue', async () => (await depthOf(queue)) === 0));
    });

    test('that failed are found by their status, with counts', async ({ store: { database }, inlet }) => {
      const batch = handMadeBatch(Date.now() * 1_000, [
        { namespace: 'failed', objects: [object('a'), ['bad', '{"id":"bad","v":"\\u0000"}']] },
        { namespace: 'failed', objects: [object('c')] },
      ]);
      await storeBatch(database, batch);
      const [failed, ...rest] = await listRequests(inlet, 'failed', 'status=failed');
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

    test('are listed without one missing or twice while others are written and all are finished', async ({
      inlet,
    }) => {
      await expectWholeLists(inlet, { requests: 30, rounds: 3 });
    });

    test('asked for from the moment of the 202 until they are done never go missing, nor a step back', async ({
      inlet,
    }) => {
      await expectFollowed(inlet, { atOnce: 6, rounds: 2 });
    });

    test('listed from the moment of the 202 until they are done never go missing, nor a step back', async ({
      inlet,
    }) => {
      await expectWatched(inlet, 6);
    });

    test('are all found behind a queue of others that takes longer to look through than a page may', async ({
      store: { database },
      inlet,
      queue,
    }) => {
      const first = await writeOne(inlet, 'behind');
      const others = await writeSeveral(inlet, 'crowd', 12);
      const last = await writeOne(inlet, 'behind');
      vi.useFakeTimers({ toFake: ['performance'] });
      onTestFinished(() => {
        vi.useRealTimers();
      });
      const slow = {
        batchIds: () => queue.batchIds(),
        find: async (id: string) => {
          vi.advanceTimersByTime(400);
          return queue.find(id);
        },
      };
      const found: string[] = [];
      let after: string | undefined;
      let pages = 0;
      do {
        const started = performance.now();
        const next = await requestsFrom(database, slow, 'behind', { limit: 10, after, status: undefined });
        expect(performance.now() - started).toBeLessThan(4_000);
        found.push(...next.requests.map(({ id }) => id));
        after = next.next;
        pages += 1;
      } while (after !== undefined);
      vi.useRealTimers();
      expect(found).toEqual([last, first]);
      expect(pages).toBeGreaterThan(2);
      await withWorker(inlet, () => Promise.all(others.map((id) => inlet.done('crowd', id))));
    });

    describe('a list that cannot be', () => {
      test.for([
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
      ] as const)('%s gets 400', async ([query, path], { inlet }) => {
        const response = await inlet.fetch(`/v1/data/bad/requests?${query}`);
        expect(response.status).toBe(400);
        const problem = (await response.json()) as { detail: string; errors?: { path: string }[] };
        expect(problem.errors?.[0]?.path).toBe(path);
        expect(problem.detail).toContain(path?.slice(1) ?? 'cursor');
      });
    });
  },
  { workers: 0 },
  withQueue,
);
