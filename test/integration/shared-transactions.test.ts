/** Batches that a worker stores in one transaction end as they would one by one. */
import { describe, expect } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import { requestIds } from '../../src/domain/batch.ts';
import { canShare, storeBatch, storeTogether } from '../../src/ingest/store-batch.ts';
import type { Database, Queryable } from '../../src/store/database.ts';
import { faultKind } from '../../src/store/faults.ts';
import { findObject } from '../../src/store/objects.ts';
import { findRequest } from '../../src/store/requests.ts';
import type { HandMadeRequest } from '../support/batches.ts';
import { handMadeBatch, object, seededRandom, shuffled } from '../support/batches.ts';
import { describeOnBothQueues, inletTest } from '../support/fixtures.ts';
import { query } from '../support/postgres.ts';
import { deliveryRows, insertEndpointRow } from '../support/webhooks.ts';

const NS = 'ns';

const test = inletTest();

test.beforeEach(async ({ store: { database } }) => {
  for (const table of ['webhook_deliveries', 'webhook_endpoints', 'objects', 'requests', 'revisions']) {
    await database.query({ text: `DELETE FROM inlet.${table}` });
  }
});

function one(acceptedAt: number, ...objects: HandMadeRequest['objects']): Batch {
  return handMadeBatch(acceptedAt, [{ namespace: NS, objects }]);
}

async function stored(database: Queryable, id: string) {
  const found = await findObject(database, NS, id);
  if (!found) throw new Error(`${id} is not stored`);
  const { n } = JSON.parse(found.data) as { n: number };
  return { n, revision: found.revision, acceptedAt: found.acceptedAt, requestId: found.requestId };
}

describe('batches stored together', () => {
  test('are told apart: what each has stored, and what of it was overtaken', async ({
    store: { database },
  }) => {
    await storeBatch(database, one(9_000_000, object('old', { n: 9 })));
    const outcomes = await storeTogether(database, [
      one(1_000_001, object('a', { n: 1 }), object('b', { n: 1 }), object('c', { n: 1 })),
      one(1_000_002, object('b', { n: 2 }), object('old', { n: 2 })),
      one(1_000_003, object('old', { n: 3 })),
    ]);
    expect(outcomes).toEqual([
      { requests: 1, objects: 3, stored: 2, overtaken: 1, failed: 0 },
      { requests: 1, objects: 2, stored: 1, overtaken: 1, failed: 0 },
      { requests: 1, objects: 1, stored: 0, overtaken: 1, failed: 0 },
    ]);
    expect((await stored(database, 'old')).n).toBe(9);
  });

  test('are in the order in which they were accepted, whatever order they come in', async ({
    store: { database },
  }) => {
    const [first, second, third] = [1, 2, 3].map((n) => one(2_000_000 + n, object('x', { n })));
    if (!first || !second || !third) throw new Error('there are three');
    const outcomes = await storeTogether(database, [third, first, second]);
    expect(outcomes.map(({ stored }) => stored)).toEqual([1, 0, 0]);
    expect(await stored(database, 'x')).toEqual({
      ...{ n: 3, revision: 1, acceptedAt: 2_000_003 },
      requestId: requestIds(third)[0],
    });
  });

  test('are in the order of their ids where they were accepted in the same microsecond', async ({
    store: { database },
  }) => {
    const [first, second] = [1, 2].map((n) => one(3_000_000, object('x', { n })));
    if (!first || !second) throw new Error('there are two');
    await storeTogether(database, [second, first]);
    expect((await stored(database, 'x')).n).toBe(2);
  });

  test('have their requests recorded, each with its own time', async ({ store: { database } }) => {
    const batches = [one(4_000_001, object('a')), one(4_000_007, object('a'), object('b'))];
    await storeTogether(database, batches);
    const found = await Promise.all(
      batches.map((batch) => findRequest(database, NS, requestIds(batch)[0] ?? '')),
    );
    expect(found).toMatchObject([
      { status: 'succeeded', objects: 1, stored: 1, failed: 0, acceptedAt: 4_000_001 },
      { status: 'succeeded', objects: 2, stored: 2, failed: 0, acceptedAt: 4_000_007 },
    ]);
  });

  test('change nothing when they come a second time, in other company', async ({ store: { database } }) => {
    const batches = [1, 2, 3].map((n) => one(5_000_000 + n, object(`x${n}`, { n })));
    const before = await storeTogether(database, batches.slice(0, 2));
    const rows = await database.query({ text: 'SELECT * FROM inlet.objects ORDER BY id' });
    const again = await storeTogether(database, batches);
    expect(before.map(({ stored }) => stored)).toEqual([1, 1]);
    expect(again.map(({ stored }) => stored)).toEqual([0, 0, 1]);
    const after = await database.query({ text: `SELECT * FROM inlet.objects WHERE id <> 'x3' ORDER BY id` });
    expect(after).toEqual(rows);
  });

  test('are stored all or none: one that Postgres refuses is to be stored alone', async ({
    store: { database },
  }) => {
    const bad = one(6_000_002, ['bad', '{"id":"bad","text":"\\u0000"}']);
    const batches = [one(6_000_001, object('a')), bad, one(6_000_003, object('b'))];
    const error: unknown = await storeTogether(database, batches).catch((thrown: unknown) => thrown);
    expect(faultKind(error)).toBe('data');
    expect(await database.query({ text: 'SELECT 1 FROM inlet.objects' })).toEqual([]);
    expect(await database.query({ text: 'SELECT 1 FROM inlet.requests' })).toEqual([]);
  });

  test('give the events of each, and say once whom to wake', async ({ store: { database } }) => {
    await insertEndpointRow(database, 'ep_1', { namespaces: [NS] });
    const told: string[] = [];
    const batches = [one(7_000_001, object('a')), one(7_000_002, object('a'), object('b'))];
    await storeTogether(database, batches, { onEvents: (ids) => told.push(...ids) });
    const events = await deliveryRows(database);
    const ids = batches.map((batch) => requestIds(batch)[0]);
    expect(events.map((row) => `${row.request_id} ${row.object_id}`).sort()).toEqual(
      [`${ids[0]} a`, `${ids[1]} a`, `${ids[1]} b`].sort(),
    );
    expect(told).toEqual(['ep_1']);
  });

  test('wait for their evaluation each on its own', async ({ store: { database } }) => {
    const waiting: string[] = [];
    const batches = [one(8_000_001, object('a')), one(8_000_002, ['b', '"b"']), one(8_000_003, object('c'))];
    await storeTogether(database, batches, { onWaiting: (id) => waiting.push(id) });
    expect(waiting).toEqual([batches[0]?.id, batches[2]?.id]);
    const rows = await database.query<{ status: string }>({
      text: 'SELECT status FROM inlet.requests ORDER BY request_id',
    });
    expect(rows.map(({ status }) => status)).toEqual(['ingesting', 'succeeded', 'ingesting']);
  });

  test('tell of progress at least after every fourth statement, however many they are', async ({
    store: { database },
  }) => {
    await insertEndpointRow(database, 'ep_2', { namespaces: [NS], events: ['workflow.succeeded'] });
    let atOnce = 0;
    let most = 0;
    const counted = (of: Queryable): Queryable => {
      const count = () => {
        atOnce += 1;
        most = Math.max(most, atOnce);
      };
      return {
        query: (statement) => {
          count();
          return of.query(statement);
        },
        write: (statement) => {
          count();
          return of.write(statement);
        },
      };
    };
    const watched: Pick<Database, 'transactionWith'> = {
      transactionWith: (read, use) =>
        database.transactionWith(read, (transaction, rows: Parameters<typeof use>[1]) =>
          use(counted(transaction), rows),
        ),
    };
    const onProgress = () => {
      atOnce = 0;
    };
    for (const evaluation of [{}, { onWaiting: () => undefined }]) {
      onProgress();
      const batches = Array.from({ length: 12 }, (_, n) => one(8_500_000 + n, object(`x${n}`)));
      const gone = one(8_600_000, ['x0', '"x0"']);
      await storeTogether(watched as Database, [...batches, gone], { onProgress, ...evaluation });
    }
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(4);
  });

  test('are neither chunks of imports nor replays, bring no schema and come for the first time', () => {
    const plain = one(1, object('a'));
    const [request] = plain.requests;
    if (!request) throw new Error('there is one');
    expect(canShare(plain)).toBe(true);
    expect(canShare({ ...plain, requests: [request, { ...request, schema: '{}' }] })).toBe(false);
    const chunk = { requestId: 'req_file', upload: 1, chunk: 0, lines: [1], rejected: [] };
    expect(canShare({ ...plain, requests: [{ ...request, import: chunk }] })).toBe(false);
    const replay = { namespace: NS, order: 'original', failedBefore: 1 } as const;
    expect(canShare({ ...plain, requests: [], objects: '', replay })).toBe(false);
    expect(canShare({ ...plain, isRetried: true })).toBe(false);
  });

  test('end with the last of each id, whoever they share their transactions with', async ({
    store: { database },
  }) => {
    const seed = Date.now();
    const random = seededRandom(seed);
    const ids = Array.from({ length: 20 }, (_, i) => `id${i}`);
    const batches = Array.from({ length: 120 }, (_, n) =>
      one(
        10_000_000 + n,
        ...shuffled(ids, random)
          .slice(0, 5)
          .map((id) => object(id, { n })),
      ),
    );
    // Each comes twice.
    const work = shuffled([...batches, ...batches], random);
    const worker = async (): Promise<void> => {
      while (work.length > 0) await storeTogether(database, work.splice(0, 1 + Math.floor(random() * 6)));
    };
    await Promise.all(Array.from({ length: 6 }, worker));
    for (const id of ids) {
      const last = batches.findLastIndex(({ requests }) => requests[0]?.ids.includes(id));
      expect(last < 0 ? last : (await stored(database, id)).n, `${id}, seed ${seed}`).toBe(last);
    }
  });
});

describeOnBothQueues(
  'a worker that is behind',
  (test) => {
    test('stores what waits in few transactions, and answers for each request', async ({
      databaseUrl,
      inlet,
    }) => {
      const requests: string[] = [];
      // One after the other: each is a job of its own.
      for (let n = 0; n < 24; n += 1) {
        requests.push(await inlet.write(NS, JSON.stringify({ data: { id: `id${n}`, n } })));
      }
      await inlet.addWorker();
      for (const requestId of requests) {
        expect(await inlet.done(NS, requestId)).toMatchObject({ status: 'succeeded' });
      }
      // Rows of one transaction have the same xmin.
      const [row] = await query(
        databaseUrl,
        'SELECT count(DISTINCT xmin::text)::int AS n FROM inlet.objects',
      );
      expect(row?.['n']).toBeLessThan(24);
    });
  },
  { workers: 0 },
);
