/** One bad object never fails its neighbours: it is kept with its text and the reason, and they are stored. */
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished } from 'vitest';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { isolateWrites } from '../../src/ingest/isolate-writes.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database } from '../../src/store/database.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { describeOnBothQueues, inletTest } from '../support/fixtures.ts';
import { openProvider, whenConnected } from '../support/queues.ts';

const test = inletTest();

/** Objects that the API would never accept, and the SQLSTATE with which Postgres refuses them. */
const REFUSED = [
  ['a NUL character', '{"id": "bad", "v": "\\u0000"}', '22P05'],
  ['a lone surrogate', '{"id": "bad", "v": "\\ud800"}', '22P02'],
  ['a number beyond numeric', '{"id": "bad", "v": 1e400000}', '22003'],
  ['text that is no JSON', '{"id": "bad", "v": nonsense}', '22P02'],
  ['nesting that is too deep', `{"id": "bad", "v": ${'['.repeat(60_000)}${']'.repeat(60_000)}}`, '54001'],
] as const;

describe('a batch with objects that Postgres refuses', () => {
  async function storedIds(database: Database, namespace: string): Promise<string[]> {
    const rows = await database.query<{ id: string }>({
      text: 'SELECT id FROM inlet.objects WHERE namespace = $1 ORDER BY id',
      values: [namespace],
    });
    return rows.map(({ id }) => id);
  }

  test.for(REFUSED)(
    'keeps %s and stores the others',
    async ([what, text, sqlState], { store: { database } }) => {
      const namespace = `refused-${sqlState}-${what.length}`;
      const batch = handMadeBatch(1_000_000, [
        { namespace, objects: [object('a'), ['bad', text], object('b')] },
        { namespace, objects: [object('c')] },
      ]);
      expect(await storeBatch(database, batch)).toEqual({
        ...{ requests: 2, objects: 4, stored: 3, overtaken: 0, failed: 1 },
      });
      expect(await storedIds(database, namespace)).toEqual(['a', 'b', 'c']);
      const failed = await database.query({
        text: 'SELECT request_id, index, id, object, sqlstate FROM inlet.failed_objects WHERE namespace = $1',
        values: [namespace],
      });
      expect(failed).toEqual([
        { request_id: requestIdAt(batch.id, 0), index: 1, id: 'bad', object: text, sqlstate: sqlState },
      ]);
      const requests = await database.query({
        text: 'SELECT status FROM inlet.requests WHERE namespace = $1 ORDER BY request_id',
        values: [namespace],
      });
      expect(requests).toEqual([{ status: 'failed' }, { status: 'succeeded' }]);
    },
  );

  test('keeps several of them apart, wherever they stand', async ({ store: { database } }) => {
    const objects = Array.from({ length: 200 }, (_, i): readonly [string, string] =>
      i % 50 === 7 ? [`o${i}`, `{"id": "o${i}", "v": "\\u0000"}`] : object(`o${i}`),
    );
    const batch = handMadeBatch(1_000_000, [{ namespace: 'several', objects }]);
    expect(await storeBatch(database, batch)).toMatchObject({ objects: 200, stored: 196, failed: 4 });
    expect(await storedIds(database, 'several')).toHaveLength(196);
  });

  test('stores the write before where the last one of an id is refused', async ({ store: { database } }) => {
    const batch = handMadeBatch(1_000_000, [
      { namespace: 'before', objects: [object('x', { n: 1 }), object('y', { n: 1 })] },
      { namespace: 'before', objects: [object('x', { n: 2 })] },
      { namespace: 'before', objects: [['x', '{"id": "x", "v": "\\u0000"}']] },
    ]);
    expect(await storeBatch(database, batch)).toMatchObject({ stored: 2, overtaken: 1, failed: 1 });
    const rows = await database.query({
      text: `SELECT id, data ->> 'n' AS n FROM inlet.objects WHERE namespace = 'before' ORDER BY id`,
    });
    expect(rows).toEqual([
      { id: 'x', n: '2' },
      { id: 'y', n: '1' },
    ]);
  });

  test('stays failed when the batch comes a second time and could be stored by then', async ({
    store: { database },
  }) => {
    const constraint = "CHECK (namespace <> 'mended' OR id <> 'bad')";
    await database.query({ text: `ALTER TABLE inlet.objects ADD CONSTRAINT mended ${constraint}` });
    const batch = handMadeBatch(1_000_000, [{ namespace: 'mended', objects: [object('a'), object('bad')] }]);
    expect(await storeBatch(database, batch)).toMatchObject({ stored: 1, failed: 1 });
    await database.query({ text: 'ALTER TABLE inlet.objects DROP CONSTRAINT mended' });
    expect(await storeBatch(database, { ...batch, isRetried: true })).toMatchObject({
      requests: 0,
      objects: 0,
    });
    expect(await storedIds(database, 'mended')).toEqual(['a']);
  });

  test('is stored when the batch comes a second time, and was not stored the first', async ({
    store: { database },
  }) => {
    const batch = handMadeBatch(1_000_000, [{ namespace: 'first', objects: [object('a')] }]);
    expect(await storeBatch(database, { ...batch, isRetried: true })).toMatchObject({ stored: 1 });
  });

  test('changes nothing when it is stored a second time', async ({ store: { database } }) => {
    const batch = handMadeBatch(1_000_000, [
      { namespace: 'repeat', objects: [object('a'), ['bad', '{"id": "bad", "v": "\\u0000"}']] },
    ]);
    await storeBatch(database, batch);
    await storeBatch(database, batch);
    const [row] = await database.query({
      text: `SELECT (SELECT count(*)::int FROM inlet.failed_objects WHERE namespace = 'repeat') AS failed,
                    (SELECT max(revision)::int FROM inlet.objects WHERE namespace = 'repeat') AS revision`,
    });
    expect(row).toEqual({ failed: 1, revision: 1 });
  });

  test('keeps objects that a constraint refuses which is checked only at the commit', async ({
    store: { database },
  }) => {
    await database.query({
      text: `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '23514'; END $$`,
    });
    await database.query({
      text: `CREATE CONSTRAINT TRIGGER late AFTER INSERT ON inlet.objects DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW WHEN (new.namespace = 'late' AND new.data ? 'secret') EXECUTE FUNCTION refuse()`,
    });
    const batch = handMadeBatch(1_000_000, [
      { namespace: 'late', objects: [object('a'), object('b', { secret: 1 }), object('c')] },
    ]);
    expect(await storeBatch(database, batch)).toMatchObject({ failed: 1 });
    expect(await storedIds(database, 'late')).toEqual(['a', 'c']);
  });

  test("keeps objects that an operator's own constraint refuses", async ({ store: { database } }) => {
    await database.query({
      text: `ALTER TABLE inlet.objects ADD CONSTRAINT no_secrets CHECK (namespace <> 'strict' OR NOT data ? 'secret')`,
    });
    const batch = handMadeBatch(1_000_000, [
      { namespace: 'strict', objects: [object('a'), object('b', { secret: 1 })] },
    ]);
    expect(await storeBatch(database, batch)).toMatchObject({ failed: 1 });
    expect(await storedIds(database, 'strict')).toEqual(['a']);
  });
});

describeOnBothQueues('an object that gets behind the checks', (test) => {
  test('fails its request with index, id and reason, and its neighbours are stored', async ({
    config,
    inlet,
  }) => {
    const queue = openProvider(config).openQueue();
    onTestFinished(() => queue.close());
    const batch = handMadeBatch(0, [
      { namespace: 'behind', objects: [object('good'), ['bad', '{"id": "bad", "v": "\\u0000"}']] },
      { namespace: 'behind', objects: [object('neighbour')] },
    ]);
    await whenConnected(() => queue.add(batch));
    const failed = await inlet.done('behind', requestIdAt(batch.id, 0));
    expect(failed).toMatchObject({
      status: 'failed',
      counts: { objects: 2, stored: 1, failed: 1 },
      errors: [{ index: 1, id: 'bad', message: expect.stringContaining('Unicode') }],
    });
    expect(failed.data.map(({ id }) => id)).toEqual(['good']);
    const neighbour = await inlet.done('behind', requestIdAt(batch.id, 1));
    expect(neighbour.status).toBe('succeeded');
    expect(await inlet.object('behind', 'good')).toBeDefined();
    expect(await inlet.object('behind', 'neighbour')).toBeDefined();
    expect(await inlet.objectText('behind', 'bad')).toBeUndefined();
  });
});

test('a batch that takes longer than an isolation may comes to its end when it is tried again', async ({
  store: { database },
}) => {
  const writes = Array.from({ length: 20 }, (_, i) => ({ namespace: 'slow', id: `o${i}` }));
  const isolated = (refusals: number) =>
    database.transaction((transaction) =>
      isolateWrites(transaction, writes, {
        ...{ refusals, budgetMs: 100, onProgress: () => undefined },
        write: async () => {
          await delay(10);
          await transaction.query({ text: "DO $$ BEGIN RAISE 'no' USING ERRCODE = '23514'; END $$" });
        },
      }),
    );
  const left: number[] = [];
  while (left.length === 0 || (left.length < 20 && left.at(-1) !== 0)) {
    left.push((await isolated(left.length)).waiting.length);
  }
  expect(left[0]).toBeGreaterThan(0);
  expect(left.at(-1)).toBe(0);
});

test('of objects that are refused no locks are left, however many they are', async ({
  store: { database },
}) => {
  const writes = Array.from({ length: 100 }, (_, i) => ({ namespace: 'locks', id: `${i}` }));
  await database.transaction(async (transaction) => {
    await transaction.query({ text: 'CREATE TEMPORARY TABLE even (n int CHECK (n % 2 = 0)) ON COMMIT DROP' });
    const { failed } = await isolateWrites(transaction, writes, {
      ...{ refusals: 0, onProgress: () => undefined },
      write: (some) =>
        transaction.query({
          text: 'INSERT INTO even SELECT unnest($1::int[])',
          values: [some.map(({ id }) => id)],
        }),
    });
    expect(failed).toHaveLength(50);
    const [row] = await transaction.query<{ count: number }>({
      text: `SELECT count(*)::int AS count FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'transactionid'`,
    });
    expect(row?.count).toBe(1);
  });
});
