/** What a replay does to the tables: whatever dies in between, and whoever else is at the same objects. */
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
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
import { callFailed, failedIndexes, replay } from '../support/failed.ts';
import { eventually, TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase, query } from '../support/postgres.ts';
import { describeOnBothQueues } from '../support/queues.ts';
import { prepareRefusals, refuse } from '../support/refusals.ts';
import type { TestStore } from '../support/store.ts';
import { lockWaits, openTestStore } from '../support/store.ts';
import { waitFor } from '../support/wait-for.ts';

let store: TestStore;
let database: Database;
let namespace: string;
let count = 0;

beforeAll(async () => {
  store = await openTestStore();
  database = store.database;
  await prepareRefusals(store.url);
});

afterAll(async () => {
  await store?.close();
});

beforeEach(async () => {
  count += 1;
  namespace = `replays-${count}`;
  await refuse(store.url, 'now');
});

const bad = (id: string, members = {}) => object(id, { ...members, refuse: 'now' });

/** A job that replays what has failed until now, as it comes out of the queue. */
async function replayJob(which: Partial<Replay> = {}): Promise<Batch> {
  const { at: failedBefore } = await countFailed(database, { namespace });
  const job = { version: REPLAY_VERSION, requests: [], objects: '', acceptedAt: Date.now() * 1_000 } as const;
  return { ...job, id: newBatchId(), replay: { namespace, order: 'original', failedBefore, ...which } };
}

async function run(which: Partial<Replay> = {}, observer: StoreObserver = {}) {
  return storeBatch(database, await replayJob(which), observer);
}

async function rows(text: string): Promise<Record<string, unknown>[]> {
  return database.query({ text, values: [namespace] });
}

const failedRows = () => rows('SELECT index FROM inlet.failed_objects WHERE namespace = $1 ORDER BY index');
const requestRows = () =>
  rows('SELECT status, objects, failed FROM inlet.requests WHERE namespace = $1 ORDER BY request_id');
const values = () =>
  rows(
    `SELECT id, data ->> 'v' AS v, revision::int AS revision FROM inlet.objects WHERE namespace = $1 ORDER BY id`,
  );

describe('a replay', () => {
  it('that breaks off has stored what it had committed, and the second try stores the rest', async () => {
    const objects = Array.from({ length: 1_200 }, (_, i) => bad(`o${i}`));
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace, objects }]));
    await refuse(store.url);
    const onProgress = () => {
      throw new Error('killed');
    };
    await expect(run({}, { onProgress })).rejects.toThrow('killed');
    expect(await failedRows()).toHaveLength(700);
    expect(await requestRows()).toEqual([{ status: 'failed', objects: 1_200, failed: 700 }]);
    expect(await run()).toMatchObject({ objects: 700, stored: 700 });
    expect(await requestRows()).toEqual([{ status: 'succeeded', objects: 1_200, failed: 0 }]);
    expect(await failedRows()).toEqual([]);
  });

  it('leaves alone what has failed again since it was asked for', async () => {
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace, objects: [bad('a')] }]));
    const job = await replayJob();
    expect(await storeBatch(database, job)).toMatchObject({ objects: 1, stored: 0, failed: 1 });
    expect(await storeBatch(database, job)).toMatchObject({ objects: 0 });
    expect(await rows('SELECT attempts FROM inlet.failed_objects WHERE namespace = $1')).toEqual([
      { attempts: 2 },
    ]);
  });

  it('counts each object once, however many are at it at the same time', async () => {
    const objects = Array.from({ length: 600 }, (_, i) => (i % 3 === 0 ? object(`o${i}`) : bad(`o${i}`)));
    const batch = handMadeBatch(1_000_000, [{ namespace, objects }]);
    await storeBatch(database, batch);
    await refuse(store.url);
    const some = { namespace, requestId: requestIdAt(batch.id, 0) };
    const discards = [1, 100, 400].map((index) => discardFailed(database, { ...some, index }, 1));
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
    expect([1, 100, 400]).toEqual(expect.arrayContaining(left.map(({ index }) => index)));
    const status = left.length > 0 ? 'failed' : 'succeeded';
    expect(await requestRows()).toEqual([{ status, objects: 600, failed: left.length }]);
    const stored = await values();
    expect(stored).toHaveLength(600 - left.length);
    expect(stored.every(({ revision }) => revision === 1)).toBe(true);
  });

  it('does not store what is discarded between its reading and its storing', async () => {
    const batch = handMadeBatch(1_000_000, [
      { namespace, objects: [object('x'), bad('x', { v: 1 }), bad('y')] },
    ]);
    await storeBatch(database, batch);
    await refuse(store.url);
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

  it('and a discard of the same objects never wait for each other in a circle', async () => {
    const objects = [bad('x', { v: 0 }), bad('x', { v: 1 }), bad('x', { v: 2 })];
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace, objects }]));
    await refuse(store.url);
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

  it('of several writes of one id leaves the last of each request that could be stored', async () => {
    const batch = handMadeBatch(1_000_000, [
      { namespace, objects: [object('x', { v: 1 }), bad('x', { v: 2 }), bad('x', { v: 3 })] },
      { namespace, objects: [bad('x', { v: 4 }), bad('y', { v: 5 })] },
    ]);
    await storeBatch(database, batch);
    expect(await values()).toMatchObject([{ id: 'x', v: '1' }]);
    await refuse(store.url);
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

  it('stores what can be stored where only some is still refused', async () => {
    const objects = Array.from({ length: 50 }, (_, i) =>
      object(`o${i}`, { refuse: i % 10 === 3 ? 'still' : 'now' }),
    );
    await refuse(store.url, 'now', 'still');
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace, objects }]));
    await refuse(store.url, 'still');
    expect(await run()).toEqual({ requests: 1, objects: 50, stored: 45, overtaken: 0, failed: 5 });
    expect((await failedRows()).map(({ index }) => index)).toEqual([3, 13, 23, 33, 43]);
    expect(await requestRows()).toEqual([{ status: 'failed', objects: 50, failed: 5 }]);
  });

  it('stores objects of megabytes, and those of a request that is forgotten by now', async () => {
    const large = (id: string) => bad(id, { large: 'x'.repeat(700_000) });
    const objects = [large('a'), large('b'), bad('c'), large('d')];
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace, objects }]));
    await rows('DELETE FROM inlet.requests WHERE namespace = $1');
    await refuse(store.url);
    expect(await run()).toMatchObject({ objects: 4, stored: 4 });
    expect(await values()).toHaveLength(4);
  });
});

describe('a batch that comes a second time', () => {
  it('keeps nothing again that was replayed or discarded in between', async () => {
    const batch = handMadeBatch(1_000_000, [
      { namespace, objects: [object('a'), bad('b'), bad('c'), bad('d')] },
    ]);
    await storeBatch(database, batch);
    await refuse(store.url);
    const requestId = requestIdAt(batch.id, 0);
    await run({ requestId, index: 1 });
    await discardFailed(database, { namespace, requestId, index: 2 }, 1);
    await refuse(store.url, 'now');
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

  it('keeps no lines again of a chunk that was counted', async () => {
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
    await refuse(store.url);
    await run();
    await discardFailed(database, { namespace }, 10);
    await refuse(store.url, 'now');
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

it('events tell of replays: that one was stored, and that one has failed again', async () => {
  await database.query({
    text: `INSERT INTO inlet.webhook_endpoints (endpoint_id, url, namespaces, events)
           VALUES ($1, 'https://example.com', ARRAY[$2], '{workflow.succeeded,workflow.failed}')`,
    values: [`ep_${namespace}`, namespace],
  });
  const batch = handMadeBatch(1_000_000, [
    { namespace, objects: [bad('a'), object('b', { refuse: 'still' })] },
  ]);
  await refuse(store.url, 'now', 'still');
  await storeBatch(database, batch);
  await refuse(store.url, 'still');
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

it('what is replayed is evaluated, and told of with what came of that; its request does not wait', async () => {
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
  await refuse(store.url);
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

describeOnBothQueues('a replay that takes long', ({ redisUrl }) => {
  it('keeps no writes waiting that its worker has in hand', async () => {
    const { url: databaseUrl, drop } = await createTestDatabase();
    await prepareRefusals(databaseUrl);
    await refuse(databaseUrl, 'now');
    const config = testConfig({ databaseUrl, redisUrl }, { workerConcurrency: 1 });
    const inlet = await TestInlet.start(config);
    const client = new pg.Client({ connectionString: databaseUrl });
    try {
      await client.connect();
      await inlet.done('w', await inlet.write('w', '{"data":{"id":"a","refuse":"now"}}'));
      await client.query('BEGIN; SELECT FROM inlet.failed_objects FOR UPDATE');
      await refuse(databaseUrl);
      await replay(inlet, 'w', '/replay');
      const waiting = `SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%failed_objects%'`;
      await waitFor('the replay to wait', async () => (await query(databaseUrl, waiting)).length > 0);
      const { status } = await inlet.done('w', await inlet.write('w', '{"data":{"id":"b"}}'));
      expect(status).toBe('succeeded');
      expect(await failedIndexes(inlet, 'w')).toEqual([0]);
    } finally {
      await client.end();
      await inlet.close();
      await drop();
    }
  });
});

describeOnBothQueues('a replay that waits in the queue', ({ redisUrl }) => {
  it('is there after a restart, and does not store what is discarded meanwhile', async () => {
    const { url: databaseUrl, drop } = await createTestDatabase();
    await prepareRefusals(databaseUrl);
    await refuse(databaseUrl, 'now');
    const config = testConfig({ databaseUrl, redisUrl });
    const first = await TestInlet.start(config, { workers: 0 });
    const stop = await first.addWorker();
    const requestId = await first.write(
      'w',
      '{"data":[{"id":"a","refuse":"now"},{"id":"b","refuse":"now"}]}',
    );
    await first.done('w', requestId);
    await stop();
    await refuse(databaseUrl);
    expect(await replay(first, 'w', '/replay')).toMatchObject({ objects: 2 });
    await first.close();

    const second = await TestInlet.start(config, { workers: 0 });
    try {
      expect(await failedIndexes(second, 'w')).toEqual([0, 1]);
      expect((await callFailed(second, 'DELETE', 'w', `/${requestId}/0`)).status).toBe(200);
      await second.addWorker();
      await eventually(async () => ((await failedIndexes(second, 'w')).length === 0 ? true : undefined));
      expect(await second.object('w', 'a')).toBeUndefined();
      expect(await second.object('w', 'b')).toBeDefined();
      // The list of requests passes over jobs that are none.
      expect((await second.fetch('/v1/data/w/requests')).status).toBe(200);
    } finally {
      await second.close();
      await drop();
    }
  });
});
