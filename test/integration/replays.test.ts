/** What a replay does to the tables: whatever dies in between, and whoever else is at the same objects. */
import { describe, expect } from 'vitest';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { discardFailed } from '../../src/store/failed-list.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { inletTest } from '../support/fixtures.ts';
import { prepareRefusals, refuse } from '../support/refusals.ts';
import { bad, namespaceOn } from '../support/replays.ts';
import { lockWaits } from '../support/store.ts';

const test = inletTest({ prepare: prepareRefusals }).extend('mine', async ({ store: { database }, task }) =>
  namespaceOn(database, `replays-${task.id}`),
);

test.beforeEach(({ databaseUrl }) => refuse(databaseUrl, 'now'));

describe('a replay', () => {
  test('that breaks off has stored what it had committed, and the second try stores the rest', async ({
    databaseUrl,
    store: { database },
    mine: { namespace, run, failedRows, requestRows },
  }) => {
    const objects = Array.from({ length: 600 }, (_, i) => bad(`o${i}`));
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace, objects }]));
    await refuse(databaseUrl);
    let told = 0;
    const onProgress = () => {
      told += 1;
      // The first time in the transaction of the first page, the second after its commit.
      if (told === 2) throw new Error('killed');
    };
    await expect(run({}, { onProgress })).rejects.toThrow('killed');
    expect(await failedRows()).toHaveLength(100);
    expect(await requestRows()).toEqual([{ status: 'failed', objects: 600, failed: 100 }]);
    expect(await run()).toMatchObject({ objects: 100, stored: 100 });
    expect(await requestRows()).toEqual([{ status: 'succeeded', objects: 600, failed: 0 }]);
    expect(await failedRows()).toEqual([]);
  });

  test('leaves alone what has failed again since it was asked for', async ({
    store: { database },
    mine: { namespace, rows, replayJob },
  }) => {
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace, objects: [bad('a')] }]));
    const job = await replayJob();
    expect(await storeBatch(database, job)).toMatchObject({ objects: 1, stored: 0, failed: 1 });
    expect(await storeBatch(database, job)).toMatchObject({ objects: 0 });
    expect(await rows('SELECT attempts FROM inlet.failed_objects WHERE namespace = $1')).toEqual([
      { attempts: 2 },
    ]);
  });

  test('counts each object once, however many are at it at the same time', async ({
    databaseUrl,
    store: { database },
    mine: { namespace, run, failedRows, requestRows, values },
  }) => {
    const objects = Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? object(`o${i}`) : bad(`o${i}`)));
    const batch = handMadeBatch(1_000_000, [{ namespace, objects }]);
    await storeBatch(database, batch);
    await refuse(databaseUrl);
    const some = { namespace, requestId: requestIdAt(batch.id, 0) };
    const discards = [1, 100, 250].map((index) => discardFailed(database, { ...some, index }, 1));
    const outcomes = await Promise.allSettled([
      run(),
      run(),
      run({ order: 'now' }),
      run({ index: 4 }),
      ...discards,
    ]);
    for (const outcome of outcomes) expect(outcome.status).toBe('fulfilled');
    const left = await failedRows();
    // Whichever came first.
    expect([1, 100, 250]).toEqual(expect.arrayContaining(left.map(({ index }) => index)));
    const status = left.length > 0 ? 'failed' : 'succeeded';
    expect(await requestRows()).toEqual([{ status, objects: 300, failed: left.length }]);
    const stored = await values();
    expect(stored).toHaveLength(300 - left.length);
    expect(stored.every(({ revision }) => revision === 1)).toBe(true);
  });

  test('does not store what is discarded between its reading and its storing', async ({
    databaseUrl,
    store: { database },
    mine: { namespace, run, requestRows, values },
  }) => {
    const batch = handMadeBatch(1_000_000, [
      { namespace, objects: [object('x'), bad('x', { v: 1 }), bad('y')] },
    ]);
    await storeBatch(database, batch);
    await refuse(databaseUrl);
    // Whoever holds the object's row makes the replay wait after it has read what is to be stored.
    const replayed = await database.transaction(async (holder) => {
      const text = `SELECT 1 FROM inlet.objects WHERE namespace = $1 AND id = 'x' FOR UPDATE`;
      await holder.query({ text, values: [namespace] });
      const running = run();
      await lockWaits(database, 1);
      await discardFailed(database, { namespace, requestId: requestIdAt(batch.id, 0), index: 1 }, 1);
      return { running };
    });
    expect(await replayed.running).toMatchObject({ objects: 1, stored: 1 });
    expect(await values()).toMatchObject([{ id: 'x', v: null }, { id: 'y' }]);
    expect(await requestRows()).toEqual([{ status: 'failed', objects: 3, failed: 1 }]);
  });

  test('and a discard of the same objects never wait for each other in a circle', async ({
    databaseUrl,
    store: { database },
    mine: { namespace, run },
  }) => {
    const objects = [bad('x', { v: 0 }), bad('x', { v: 1 }), bad('x', { v: 2 })];
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace, objects }]));
    await refuse(databaseUrl);
    // Both have to wait for the first object, the discard before the replay of the last, which takes the others along.
    const both = await database.transaction(async (holder) => {
      const text = 'SELECT 1 FROM inlet.failed_objects WHERE namespace = $1 AND index = 0 FOR UPDATE';
      await holder.query({ text, values: [namespace] });
      const discarding = discardFailed(database, { namespace }, 10);
      await lockWaits(database, 1);
      const replaying = run({ index: 2 });
      await lockWaits(database, 2);
      return { done: Promise.all([discarding, replaying]) };
    });
    expect(await both.done).toEqual([3, { requests: 0, objects: 0, stored: 0, overtaken: 0, failed: 0 }]);
  });

  test('of several writes of one id leaves the last of each request that could be stored', async ({
    databaseUrl,
    store: { database },
    mine: { namespace, run, requestRows, values },
  }) => {
    const batch = handMadeBatch(1_000_000, [
      { namespace, objects: [object('x', { v: 1 }), bad('x', { v: 2 }), bad('x', { v: 3 })] },
      { namespace, objects: [bad('x', { v: 4 }), bad('y', { v: 5 })] },
    ]);
    await storeBatch(database, batch);
    expect(await values()).toMatchObject([{ id: 'x', v: '1' }]);
    await refuse(databaseUrl);
    // The last of the first request overtakes the one before it, and has to make way for the second request.
    expect(await run({ requestId: requestIdAt(batch.id, 0), index: 2 })).toMatchObject({
      objects: 1,
      stored: 1,
    });
    expect(await values()).toMatchObject([{ v: '3' }]);
    expect(await requestRows()).toEqual([
      { status: 'succeeded', objects: 3, failed: 0 },
      { status: 'failed', objects: 2, failed: 2 },
    ]);
    await run();
    expect(await values()).toMatchObject([{ id: 'x', v: '4' }, { v: '5' }]);
  });

  test('stores what can be stored where only some is still refused', async ({
    databaseUrl,
    store: { database },
    mine: { namespace, run, failedRows, requestRows },
  }) => {
    const objects = Array.from({ length: 50 }, (_, i) =>
      object(`o${i}`, { refuse: i % 10 === 3 ? 'still' : 'now' }),
    );
    await refuse(databaseUrl, 'now', 'still');
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace, objects }]));
    await refuse(databaseUrl, 'still');
    expect(await run()).toEqual({ requests: 1, objects: 50, stored: 45, overtaken: 0, failed: 5 });
    expect((await failedRows()).map(({ index }) => index)).toEqual([3, 13, 23, 33, 43]);
    expect(await requestRows()).toEqual([{ status: 'failed', objects: 50, failed: 5 }]);
  });

  test('stores objects of megabytes, and those of a request that is forgotten by now', async ({
    databaseUrl,
    store: { database },
    mine: { namespace, rows, run, values },
  }) => {
    const large = (id: string) => bad(id, { large: 'x'.repeat(700_000) });
    const objects = [large('a'), large('b'), bad('c'), large('d')];
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace, objects }]));
    await rows('DELETE FROM inlet.requests WHERE namespace = $1');
    await refuse(databaseUrl);
    expect(await run()).toMatchObject({ objects: 4, stored: 4 });
    expect(await values()).toHaveLength(4);
  });
});

describe('a batch that comes a second time', () => {
  test('keeps nothing again that was replayed or discarded in between', async ({
    databaseUrl,
    store: { database },
    mine: { namespace, rows, run, requestRows },
  }) => {
    const batch = handMadeBatch(1_000_000, [
      { namespace, objects: [object('a'), bad('b'), bad('c'), bad('d')] },
    ]);
    await storeBatch(database, batch);
    await refuse(databaseUrl);
    const requestId = requestIdAt(batch.id, 0);
    await run({ requestId, index: 1 });
    await discardFailed(database, { namespace, requestId, index: 2 }, 1);
    await refuse(databaseUrl, 'now');
    await storeBatch(database, batch);
    expect(
      await rows(
        'SELECT index, discarded_at IS NULL AS kept FROM inlet.failed_objects WHERE namespace = $1 ORDER BY index',
      ),
    ).toEqual([
      { index: 2, kept: false },
      { index: 3, kept: true },
    ]);
    expect(await requestRows()).toEqual([{ status: 'failed', objects: 4, failed: 2 }]);
  });

  test('keeps no lines again of a chunk that was counted', async ({
    databaseUrl,
    store: { database },
    mine: { namespace, rows, run, requestRows },
  }) => {
    const chunk = {
      upload: 1,
      chunk: 0,
      lines: [1, 2],
      rejected: [{ line: 3, id: '', text: 'bad', message: 'm' }],
    };
    const plain = handMadeBatch(1_000_000, [{ namespace, objects: [object('a'), bad('b')] }]);
    const requestId = requestIdAt(plain.id, 0);
    const [request] = plain.requests;
    if (!request) throw new Error('no request');
    const batch = { ...plain, requests: [{ ...request, import: { requestId, ...chunk } }] };
    await database.query({
      text: `INSERT INTO inlet.requests (request_id, namespace, status, accepted_at, completed_at, objects)
             VALUES ($1, $2, 'ingesting', 'epoch'::timestamptz + interval '1 second', NULL, 0)`,
      values: [requestId, namespace],
    });
    await database.query({
      text: `INSERT INTO inlet.imports (request_id, expires_at, upload) VALUES ($1, now(), 1)`,
      values: [requestId],
    });
    await storeBatch(database, batch);
    await refuse(databaseUrl);
    await run();
    await discardFailed(database, { namespace }, 10);
    await refuse(databaseUrl, 'now');
    await storeBatch(database, batch);
    const kept = await rows(
      'SELECT index FROM inlet.failed_objects WHERE namespace = $1 AND discarded_at IS NULL',
    );
    expect(kept).toEqual([]);
    expect(await requestRows()).toEqual([{ status: 'ingesting', objects: 3, failed: 1 }]);
    const [{ ids } = {}] = await database.query({
      text: 'SELECT ids FROM inlet.import_chunks WHERE request_id = $1',
      values: [requestId],
    });
    expect(ids).toEqual(['a', 'b']);
  });
});

test('events tell of replays: that one was stored, and that one has failed again', async ({
  databaseUrl,
  store: { database },
  mine: { namespace, rows, replayJob },
}) => {
  await database.query({
    text: `INSERT INTO inlet.webhook_endpoints (endpoint_id, url, namespaces, events)
           VALUES ($1, 'https://example.com', ARRAY[$2], '{workflow.succeeded,workflow.failed}')`,
    values: [`ep_${namespace}`, namespace],
  });
  const batch = handMadeBatch(1_000_000, [
    { namespace, objects: [bad('a'), object('b', { refuse: 'still' })] },
  ]);
  await refuse(databaseUrl, 'now', 'still');
  await storeBatch(database, batch);
  await refuse(databaseUrl, 'still');
  const told: string[] = [];
  const job = await replayJob();
  await storeBatch(database, job, { onEvents: (ids) => told.push(...ids) });
  await storeBatch(database, job);
  expect(told).toEqual([`ep_${namespace}`]);
  const events = await rows(
    `SELECT type, object_id FROM inlet.webhook_deliveries WHERE namespace = $1 ORDER BY created_at, object_id`,
  );
  expect(events).toEqual([
    { type: 'workflow.failed', object_id: 'a' },
    { type: 'workflow.failed', object_id: 'b' },
    { type: 'workflow.succeeded', object_id: 'a' },
    { type: 'workflow.failed', object_id: 'b' },
  ]);
});
