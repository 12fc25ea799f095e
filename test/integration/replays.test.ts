/** What a replay does to the tables: whatever dies in between, and whoever else is at the same objects. */
import { describe, expect } from 'vitest';
import type { Batch, Replay } from '../../src/domain/batch.ts';
import { REPLAY_VERSION } from '../../src/domain/batch.ts';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { evaluateBatch } from '../../src/evaluation/evaluate-batch.ts';
import type { EvaluationInput } from '../../src/evaluation/thread-messages.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { StoreObserver } from '../../src/ingest/store-outcome.ts';
import type { Database } from '../../src/store/database.ts';
import { longestWaiting } from '../../src/store/evaluations.ts';
import { countFailed, discardFailed } from '../../src/store/failed-list.ts';
import { handMadeBatch, newBatchId, object } from '../support/batches.ts';
import { inletTest } from '../support/fixtures.ts';
import { prepareRefusals, refuse } from '../support/refusals.ts';
import { lockWaits } from '../support/store.ts';

const bad = (id: string, members = {}) => object(id, { ...members, refuse: 'now' });

/** A namespace on a database, its objects, and what of them has failed. */
function namespaceOn(database: Database, namespace: string) {
  const rows = (text: string): Promise<Record<string, unknown>[]> =>
    database.query({ text, values: [namespace] });
  /** A job that replays what has failed until now, as it comes out of the queue. */
  const replayJob = async (which: Partial<Replay> = {}): Promise<Batch> => {
    const { at: failedBefore } = await countFailed(database, { namespace });
    const job = {
      version: REPLAY_VERSION,
      requests: [],
      objects: '',
      acceptedAt: Date.now() * 1_000,
    } as const;
    return { ...job, id: newBatchId(), replay: { namespace, order: 'original', failedBefore, ...which } };
  };
  return {
    namespace,
    rows,
    replayJob,
    run: async (which: Partial<Replay> = {}, observer: StoreObserver = {}) =>
      storeBatch(database, await replayJob(which), observer),
    failedRows: () => rows('SELECT index FROM inlet.failed_objects WHERE namespace = $1 ORDER BY index'),
    requestRows: () =>
      rows('SELECT status, objects, failed FROM inlet.requests WHERE namespace = $1 ORDER BY request_id'),
    values: () =>
      rows(
        `SELECT id, data ->> 'v' AS v, revision::int AS revision FROM inlet.objects WHERE namespace = $1 ORDER BY id`,
      ),
  };
}

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

test('what is replayed is evaluated, and told of with what came of that; its request does not wait', async ({
  databaseUrl,
  store: { database },
  mine: { namespace, rows, replayJob, requestRows },
}) => {
  await database.query({
    text: `INSERT INTO inlet.webhook_endpoints (endpoint_id, url, namespaces, events)
           VALUES ($1, 'https://example.com', ARRAY[$2], '{workflow.succeeded}')`,
    values: [`ep_${namespace}`, namespace],
  });
  await storeBatch(
    database,
    handMadeBatch(1_000_000, [{ namespace, objects: [bad('a'), bad('b'), bad('a', { v: 2 })] }]),
  );
  await storeBatch(database, handMadeBatch(2_000_000, [{ namespace, objects: [bad('c')] }]));
  await refuse(databaseUrl);
  const woken: string[] = [];
  const job = await replayJob();
  await storeBatch(database, job, { onWaiting: (id) => woken.push(id) });
  expect(woken).toEqual([job.id]);
  expect(await requestRows()).toMatchObject([{ status: 'succeeded' }, { status: 'succeeded' }]);
  expect(await longestWaiting(database, -1_000, 10)).toContain(job.id);
  expect(await rows('SELECT type FROM inlet.webhook_deliveries WHERE namespace = $1')).toEqual([]);

  const evaluated: string[] = [];
  const evaluator = {
    concurrency: 2,
    evaluate: async ({ id }: EvaluationInput) => {
      evaluated.push(id);
      const output = JSON.stringify({ actions: [], labels: [id], fields: {} });
      return { outcome: 'succeeded' as const, output };
    },
  };
  const options = { evaluator, stopping: new AbortController().signal, onEvents: () => undefined };
  expect(await evaluateBatch(database, job.id, options)).toMatchObject({ objects: 3, succeeded: 3 });
  expect(await evaluateBatch(database, job.id, options)).toMatchObject({ requests: 0 });
  expect(evaluated.sort()).toEqual(['a', 'b', 'c']);
  const told = await rows(
    `SELECT object_id, type, output -> 'labels' ->> 0 AS label, extract(epoch FROM accepted_at)::int AS accepted
     FROM inlet.webhook_deliveries WHERE namespace = $1 ORDER BY object_id`,
  );
  expect(told).toEqual([
    { object_id: 'a', type: 'workflow.succeeded', label: 'a', accepted: 1 },
    { object_id: 'b', type: 'workflow.succeeded', label: 'b', accepted: 1 },
    { object_id: 'c', type: 'workflow.succeeded', label: 'c', accepted: 2 },
  ]);
});

describe('what is replayed while its request waits to be evaluated', () => {
  /** A batch with one object that can be stored and one that can't, as a request or as a chunk of a file. */
  async function halfStored(database: Database, namespace: string, isImport: boolean): Promise<Batch> {
    const plain = handMadeBatch(1_000_000, [{ namespace, objects: [object('a'), bad('b')] }]);
    const requestId = requestIdAt(plain.id, 0);
    const [request] = plain.requests;
    if (!request) throw new Error('no request');
    if (!isImport) return plain;
    await database.query({
      text: `WITH import AS (INSERT INTO inlet.imports (request_id, expires_at, upload) VALUES ($1, now(), 1))
             INSERT INTO inlet.requests (request_id, namespace, status, accepted_at, completed_at, objects)
             VALUES ($1, $2, 'ingesting', 'epoch'::timestamptz + interval '1 second', NULL, 0)`,
      values: [requestId, namespace],
    });
    const chunk = { requestId, upload: 1, chunk: 0, lines: [1, 2], rejected: [] };
    return { ...plain, requests: [{ ...request, import: chunk }] };
  }

  test.for([
    { name: 'a request', isImport: false, replayFirst: false },
    { name: 'a request, and is evaluated before it', isImport: false, replayFirst: true },
    { name: 'a chunk of a file', isImport: true, replayFirst: false },
    { name: 'a chunk of a file, and is evaluated before it', isImport: true, replayFirst: true },
  ])(
    'is told of once: $name',
    async ({ isImport, replayFirst }, { databaseUrl, store: { database }, mine }) => {
      const { namespace, rows, replayJob } = mine;
      await database.query({
        text: `INSERT INTO inlet.webhook_endpoints (endpoint_id, url, namespaces, events)
             VALUES ($1, 'https://example.com', ARRAY[$2], '{workflow.succeeded}')`,
        values: [`ep_${namespace}`, namespace],
      });
      const observer = { onWaiting: () => undefined };
      const batch = await halfStored(database, namespace, isImport);
      await storeBatch(database, batch, observer);
      await refuse(databaseUrl);
      const job = await replayJob();
      expect(await storeBatch(database, job, observer)).toMatchObject({ stored: 1 });
      const evaluator = {
        concurrency: 2,
        evaluate: async () => ({ outcome: 'succeeded' as const, output: '{}' }),
      };
      const options = { evaluator, stopping: new AbortController().signal, onEvents: () => undefined };
      for (const { id } of replayFirst ? [job, batch] : [batch, job])
        await evaluateBatch(database, id, options);
      const told = await rows(
        `SELECT object_id, webhook_id LIKE '%\\_r%' AS replayed FROM inlet.webhook_deliveries
       WHERE namespace = $1 ORDER BY object_id`,
      );
      expect(told).toEqual([
        { object_id: 'a', replayed: false },
        { object_id: 'b', replayed: true },
      ]);
      expect(
        await rows(
          'SELECT id FROM inlet.objects JOIN inlet.outputs USING (namespace, id) WHERE namespace = $1',
        ),
      ).toHaveLength(2);
    },
  );
});
