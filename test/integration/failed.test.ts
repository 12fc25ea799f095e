/** Failed objects over HTTP: how they are listed, shown, replayed and discarded, and what their requests then say. */
import { expect } from 'vitest';
import { callFailed, failedIndexes, listFailed, replay } from '../support/failed.ts';
import type { InletTest } from '../support/fixtures.ts';
import { describeOnBothQueues, inletTest } from '../support/fixtures.ts';
import { importFile } from '../support/imports.ts';
import type { ProblemAnswer, RequestAnswer, TestInlet } from '../support/inlet.ts';
import { query } from '../support/postgres.ts';
import { prepareRefusals, refuse } from '../support/refusals.ts';
import { waitFor } from '../support/wait-for.ts';

/** Writes and waits until all of it is stored or has failed. */
async function write(
  inlet: TestInlet,
  namespace: string,
  ...objects: readonly string[]
): Promise<RequestAnswer> {
  return inlet.done(namespace, await inlet.write(namespace, `{"data":[${objects.join()}]}`));
}

/** Waits until nothing of a namespace that can be replayed has failed any more. */
async function settled(inlet: TestInlet, namespace: string): Promise<void> {
  await waitFor(
    'all to be replayed',
    async () => (await listFailed(inlet, namespace, 'replayable=true')).data.length === 0,
  );
}

describeOnBothQueues('failed objects', failedObjects, { prepare: prepareRefusals });

function failedObjects(test: InletTest): void {
  test.beforeEach(({ databaseUrl }) => refuse(databaseUrl, 'now'));

  test('are listed, the newest request first and in its order, with when and why', async ({ inlet }) => {
    const first = await write(
      inlet,
      'listed',
      '{"id":"a"}',
      '{"id":"b","refuse":"now"}',
      '{"id":"c","refuse":"now"}',
    );
    const second = await write(inlet, 'listed', '{"id":"d","refuse":"now"}');
    const { data } = await listFailed(inlet, 'listed');
    expect(data.map(({ request_id, index, id }) => [request_id, index, id])).toEqual([
      [second.request_id, 0, 'd'],
      [first.request_id, 1, 'b'],
      [first.request_id, 2, 'c'],
    ]);
    expect(data[1]).toMatchObject({
      ...{ operation: 'write', sqlstate: '23514', replayable: true, attempts: 1, bytes: 25 },
      message: 'refused because of now',
      accepted_at: first.accepted_at,
    });
    const pages: unknown[] = [];
    for (let cursor = ''; ; ) {
      const page = await listFailed(inlet, 'listed', `limit=1${cursor}`);
      pages.push(...page.data);
      if (!page.next_cursor) break;
      cursor = `&cursor=${page.next_cursor}`;
    }
    expect(pages).toEqual(data);
    const ofFirst = await listFailed(inlet, 'listed', `request=${first.request_id}`);
    expect(ofFirst.data).toEqual(data.slice(1));
    const at = data[0]?.failed_at ?? '';
    expect((await listFailed(inlet, 'listed', `failed_since=${at}`)).data).toEqual(data.slice(0, 1));
    expect((await listFailed(inlet, 'listed', `failed_before=${at}`)).data).toEqual(data.slice(1));
    expect((await listFailed(inlet, 'listed', 'replayable=false')).data).toEqual([]);
    expect((await listFailed(inlet, 'elsewhere')).data).toEqual([]);
  });

  test('are shown with their text as it was sent, to the last blank', async ({ inlet }) => {
    const text = '{ "id":"x",\t"refuse": "now", "n": 1.10e2, "n": 12345678901234567890.0, "e":"\\u00e9é" }';
    const { request_id } = await write(inlet, 'shown', text);
    const response = await callFailed(inlet, 'GET', 'shown', `/${request_id}/0`);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ id: 'x', text, bytes: Buffer.byteLength(text) });
    for (const rest of [`/${request_id}/1`, `/${request_id}/x`, `/${request_id}/99999999999`, '/req_x/0']) {
      expect((await callFailed(inlet, 'GET', 'shown', rest)).status, rest).toBe(404);
    }
    expect((await callFailed(inlet, 'GET', 'elsewhere', `/${request_id}/0`)).status).toBe(404);
  });

  test('are stored by a replay under the request that brought them, which has succeeded then', async ({
    inlet,
    databaseUrl,
  }) => {
    const failed = await write(inlet, 'stored', '{"id":"a"}', '{"id":"b","refuse":"now","n":1.0}');
    expect(failed).toMatchObject({ status: 'failed', counts: { objects: 2, stored: 1, failed: 1 } });
    await refuse(databaseUrl);
    expect(await replay(inlet, 'stored', `/${failed.request_id}/1/replay`)).toMatchObject({
      ...{ status: 'accepted', objects: 1, not_replayable: 0, order: 'original' },
    });
    await settled(inlet, 'stored');
    const request = await inlet.status('stored', failed.request_id);
    expect(request).toMatchObject({
      ...{ status: 'succeeded', counts: { objects: 2, stored: 2, failed: 0 }, errors: [] },
      accepted_at: failed.accepted_at,
    });
    expect(request.completed_at?.localeCompare(failed.completed_at ?? '')).toBe(1);
    expect(request.data.map(({ id }) => id)).toEqual(['a', 'b']);
    expect(await inlet.object('stored', 'b')).toMatchObject({
      ...{ data: { id: 'b', n: 1 }, revision: 1 },
      ...{ request_id: failed.request_id, accepted_at: failed.accepted_at },
    });
    expect(await inlet.objectText('stored', 'b')).toContain('"n": 1.0');
    const again = await callFailed(inlet, 'POST', 'stored', `/${failed.request_id}/1/replay`);
    expect(again.status).toBe(404);
  });

  test('do not win over what was accepted after them, unless they are replayed as of now', async ({
    inlet,
    databaseUrl,
  }) => {
    const [first, second] = [
      await write(inlet, 'order', '{"id":"x","v":1,"refuse":"now"}'),
      await write(inlet, 'order', '{"id":"x","v":2,"refuse":"now"}'),
    ];
    await refuse(databaseUrl);
    await write(inlet, 'order', '{"id":"x","v":3}');
    await replay(inlet, 'order', `/${first.request_id}/0/replay`);
    expect(await inlet.done('order', first.request_id)).toMatchObject({ errors: expect.anything() });
    await waitFor('the replay', async () => (await failedIndexes(inlet, 'order')).length === 1);
    expect(await inlet.object('order', 'x')).toMatchObject({ data: { v: 3 }, revision: 1 });
    expect(await inlet.status('order', first.request_id)).toMatchObject({
      ...{ status: 'succeeded', counts: { objects: 1, stored: 1, failed: 0 } },
    });

    const { order } = await replay(inlet, 'order', `/${second.request_id}/0/replay`, { order: 'now' });
    expect(order).toBe('now');
    await settled(inlet, 'order');
    const object = await inlet.object('order', 'x');
    expect(object).toMatchObject({ data: { v: 2 }, revision: 2, request_id: second.request_id });
    expect(object?.accepted_at.localeCompare(second.accepted_at)).toBe(1);
    await write(inlet, 'order', '{"id":"x","v":4}');
    expect(await inlet.object('order', 'x')).toMatchObject({ data: { v: 4 } });
  });

  test('stay where they are refused again, with the new reason and time', async ({ inlet, databaseUrl }) => {
    const failed = await write(inlet, 'again', '{"id":"a","refuse":"now"}');
    const [before] = (await listFailed(inlet, 'again')).data;
    await refuse(databaseUrl, ['now', '22023']);
    await replay(inlet, 'again', '/replay');
    const after = await waitFor('the replay', async () =>
      (await listFailed(inlet, 'again')).data.find(({ attempts }) => attempts === 2),
    );
    expect(before?.sqlstate).toBe('23514');
    expect(after).toMatchObject({ index: 0, sqlstate: '22023', accepted_at: before?.accepted_at });
    expect(after.failed_at > (before?.failed_at ?? '')).toBe(true);
    expect(await inlet.status('again', failed.request_id)).toMatchObject({
      ...{ status: 'failed', counts: { failed: 1 }, completed_at: failed.completed_at },
      errors: [{ index: 0, id: 'a', message: 'refused because of now' }],
    });
  });

  test.for([
    ['the later one first', [2, 1]],
    ['the earlier one first', [1, 2]],
  ] as const)(
    'of one id in one request the last wins, replayed %s',
    async ([what, order], { inlet, databaseUrl }) => {
      const namespace = `same-${order.join('')}`;
      const writes = [
        '{"id":"x","v":0}',
        '{"id":"x","v":1,"refuse":"now"}',
        '{"id":"x","v":2,"refuse":"now"}',
      ];
      const failed = await write(inlet, namespace, ...writes);
      expect(failed.counts, what).toEqual({ objects: 3, stored: 1, failed: 2 });
      expect(await inlet.object(namespace, 'x')).toMatchObject({ data: { v: 0 } });
      await refuse(databaseUrl);
      for (const index of order) {
        if (!(await failedIndexes(inlet, namespace)).includes(index)) continue;
        await replay(inlet, namespace, `/${failed.request_id}/${index}/replay`);
        await waitFor('the replay', async () => !(await failedIndexes(inlet, namespace)).includes(index));
      }
      await settled(inlet, namespace);
      expect(await inlet.object(namespace, 'x')).toMatchObject({ data: { v: 2 } });
      expect(await inlet.status(namespace, failed.request_id)).toMatchObject({
        ...{ status: 'succeeded', counts: { objects: 3, stored: 3, failed: 0 } },
      });
    },
  );

  test('may be deletes, which then delete', async ({ inlet, databaseUrl }) => {
    await write(inlet, 'deleted', '{"id":"gone"}');
    await refuse(databaseUrl, 'delete-gone');
    const response = await inlet.fetch('/v1/data/deleted/objects/gone', { method: 'DELETE' });
    const { requestId } = (await response.json()) as { requestId: string };
    expect(await inlet.done('deleted', requestId)).toMatchObject({ status: 'failed' });
    expect((await listFailed(inlet, 'deleted')).data[0]).toMatchObject({ id: 'gone', operation: 'delete' });
    const shown = await callFailed(inlet, 'GET', 'deleted', `/${requestId}/0`);
    expect(await shown.json()).toMatchObject({ text: null });
    await refuse(databaseUrl);
    await replay(inlet, 'deleted', '/replay');
    await settled(inlet, 'deleted');
    expect(await inlet.object('deleted', 'gone')).toBeUndefined();
  });

  test('are replayed all at once, or those of a request, and asking twice does no harm', async ({
    inlet,
    databaseUrl,
  }) => {
    const many = Array.from({ length: 520 }, (_, i) => `{"id":"o${i}","refuse":"now"}`);
    const [large, small] = [
      await write(inlet, 'bulk', ...many, '{"id":"fine"}'),
      await write(inlet, 'bulk', many[0] ?? ''),
    ];
    await refuse(databaseUrl);
    expect(await replay(inlet, 'bulk', '/replay', { request: small.request_id })).toMatchObject({
      objects: 1,
    });
    expect(await inlet.done('bulk', small.request_id)).toBeDefined();
    const answers = await Promise.all([1, 2, 3].map(() => replay(inlet, 'bulk', '/replay')));
    for (const { objects } of answers) expect(objects).toBeLessThanOrEqual(521);
    await settled(inlet, 'bulk');
    const request = await inlet.status('bulk', large.request_id);
    expect(request).toMatchObject({
      ...{ status: 'succeeded', counts: { objects: 521, stored: 521, failed: 0 } },
    });
    expect(request.data).toHaveLength(521);
    const [revisions] = await query(
      databaseUrl,
      `SELECT count(*)::int AS count, max(revision)::int AS most FROM inlet.objects WHERE namespace = 'bulk'`,
    );
    expect(revisions).toEqual({ count: 521, most: 1 });
    // Nothing is left to replay: that is no error.
    expect(await replay(inlet, 'bulk', '/replay')).toMatchObject({ objects: 0 });
  });

  test('of a file come into its results, each id once; lines without an object can not be replayed', async ({
    inlet,
    databaseUrl,
  }) => {
    const lines = [
      '{"id":"a"}',
      '{"id":"b","refuse":"now"}',
      '{bad',
      '{"id":"c"}',
      '{"id":"c","refuse":"now"}',
    ];
    const requestId = await importFile(inlet, 'files', lines.join('\n'));
    expect(await inlet.done('files', requestId)).toMatchObject({
      counts: { objects: 5, stored: 2, failed: 3 },
    });
    expect((await listFailed(inlet, 'files', 'replayable=false')).data).toMatchObject([
      { index: 3, id: '', sqlstate: null, replayable: false },
    ]);
    const refused = await callFailed(inlet, 'POST', 'files', `/${requestId}/3/replay`);
    expect(refused.status).toBe(409);
    expect(refused.headers.get('x-should-retry')).toBe('false');
    expect(((await refused.json()) as ProblemAnswer).detail).toContain('holds no object');
    await refuse(databaseUrl);
    expect(await replay(inlet, 'files', '/replay')).toMatchObject({ objects: 2, not_replayable: 1 });
    await settled(inlet, 'files');
    const request = await inlet.status('files', requestId);
    expect(request).toMatchObject({ status: 'failed', counts: { objects: 5, stored: 4, failed: 1 } });
    expect(request.data.map(({ id }) => id)).toEqual(['a', 'c', 'b']);
    expect(request.errors).toMatchObject([{ index: 3 }]);
    const path = `/v1/data/files/requests/${requestId}/results/download-url`;
    expect(await (await inlet.fetch(path)).json()).toMatchObject({ data_count: 3 });
  });

  test('that are discarded are listed no more, and their request stays failed', async ({
    inlet,
    databaseUrl,
  }) => {
    const failed = await write(
      inlet,
      'discarded',
      '{"id":"a"}',
      '{"id":"b","refuse":"now"}',
      '{"id":"c","refuse":"now"}',
    );
    const place = `/${failed.request_id}/1`;
    for (const discarded of [1, 0]) {
      const response = await callFailed(inlet, 'DELETE', 'discarded', place);
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ discarded, has_more: false });
    }
    expect(await failedIndexes(inlet, 'discarded')).toEqual([2]);
    expect((await callFailed(inlet, 'GET', 'discarded', place)).status).toBe(404);
    expect((await callFailed(inlet, 'POST', 'discarded', `${place}/replay`)).status).toBe(404);
    expect((await callFailed(inlet, 'DELETE', 'discarded', `/${failed.request_id}/0`)).status).toBe(404);
    await refuse(databaseUrl);
    await replay(inlet, 'discarded', '/replay');
    await settled(inlet, 'discarded');
    const request = await inlet.status('discarded', failed.request_id);
    expect(request).toMatchObject({
      ...{ status: 'failed', counts: { objects: 3, stored: 2, failed: 1 } },
      errors: [{ index: 1, id: 'b' }],
    });
    expect(request.data.map(({ id }) => id)).toEqual(['a', 'c']);
    expect(await inlet.object('discarded', 'b')).toBeUndefined();
    const [kept] = await query(
      databaseUrl,
      `SELECT object FROM inlet.failed_objects WHERE namespace = 'discarded'`,
    );
    expect(kept).toEqual({ object: '' });
  });

  test('are discarded by request, or all, but never without being told which', async ({ inlet }) => {
    const some = ['{"id":"a","refuse":"now"}', '{"id":"b","refuse":"now"}'];
    const [first] = [await write(inlet, 'rid', ...some), await write(inlet, 'rid', ...some)];
    for (const body of [
      undefined,
      {},
      { request: first.request_id, all: true },
      { all: false },
      { ids: [] },
    ]) {
      expect((await callFailed(inlet, 'POST', 'rid', '/discard', body)).status).toBe(400);
    }
    const discard = async (body: object) => (await callFailed(inlet, 'POST', 'rid', '/discard', body)).json();
    expect(await discard({ request: first.request_id })).toEqual({ discarded: 2, has_more: false });
    expect((await listFailed(inlet, 'rid')).data).toHaveLength(2);
    expect(await discard({ all: true })).toEqual({ discarded: 2, has_more: false });
    expect((await listFailed(inlet, 'rid')).data).toEqual([]);
    expect(await discard({ all: true })).toEqual({ discarded: 0, has_more: false });
  });
}

const test = inletTest({ workers: 0 });

test.for([
  ['an unknown order', { order: 'later' }, '/order'],
  ['a misspelt member', { ordre: 'now' }, '/ordre'],
  ['a request id that is none', { request: 'req_x' }, '/request'],
] as const)('a replay with %s gets 400 with the place', async ([_what, body, path], { inlet }) => {
  const response = await callFailed(inlet, 'POST', 'bad', '/replay', body);
  expect(response.status).toBe(400);
  expect(((await response.json()) as ProblemAnswer).errors?.[0]?.path).toBe(path);
});

test.for(['request=x', 'limit=0', 'cursor=!', 'cursor=YQ', 'replayable=yes', 'failed_since=today'])(
  'a list with %s gets 400',
  async (bad, { inlet }) => {
    expect((await callFailed(inlet, 'GET', 'bad', `?${bad}`)).status).toBe(400);
  },
);
