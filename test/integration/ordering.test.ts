/** Of all writes of an id the one that was accepted last is what is stored, whatever order they are stored in. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database } from '../../src/store/database.ts';
import { findObject } from '../../src/store/objects.ts';
import { handMadeBatch, object, seededRandom, shuffled } from '../support/batches.ts';
import { TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { describeOnBothQueues } from '../support/queues.ts';
import { openTestStore } from '../support/store.ts';

describe('batches stored in any order', () => {
  let database: Database;
  let drop: () => Promise<void>;

  beforeAll(async () => {
    const store = await openTestStore();
    drop = store.close;
    database = store.database;
  });

  afterAll(async () => {
    await drop?.();
  });

  async function stored(namespace: string, id: string): Promise<{ n: number; revision: number }> {
    const found = await findObject(database, namespace, id);
    if (!found) throw new Error(`${id} is not stored`);
    return { n: (JSON.parse(found.data) as { n: number }).n, revision: found.revision };
  }

  it('an older batch that comes later changes nothing', async () => {
    const older = handMadeBatch(1_000_001, [{ namespace: 'late', objects: [object('x', { n: 1 })] }]);
    const newer = handMadeBatch(1_000_002, [{ namespace: 'late', objects: [object('x', { n: 2 })] }]);
    expect(await storeBatch(database, newer)).toMatchObject({ objects: 1, stored: 1, overtaken: 0 });
    expect(await storeBatch(database, older)).toMatchObject({ objects: 1, stored: 0, overtaken: 1 });
    expect(await stored('late', 'x')).toEqual({ n: 2, revision: 1 });
  });

  it('a batch stored twice changes nothing the second time', async () => {
    const batch = handMadeBatch(2_000_000, [
      { namespace: 'twice', objects: [object('x', { n: 1 })] },
      { namespace: 'twice', objects: [object('y', { n: 1 })] },
    ]);
    await storeBatch(database, batch);
    const before = await database.query({
      text: `SELECT * FROM inlet.objects WHERE namespace = 'twice' ORDER BY id`,
    });
    await storeBatch(database, batch);
    const after = await database.query({
      text: `SELECT * FROM inlet.objects WHERE namespace = 'twice' ORDER BY id`,
    });
    expect(after).toEqual(before);
    const [count] = await database.query<{ n: string }>({
      text: `SELECT count(*) AS n FROM inlet.requests WHERE namespace = 'twice'`,
    });
    expect(count?.n).toBe('2');
  });

  it('of two requests of one batch the later one wins', async () => {
    const batch = handMadeBatch(3_000_000, [
      { namespace: 'same', objects: [object('x', { n: 1 })] },
      { namespace: 'same', objects: [object('x', { n: 2 })] },
    ]);
    expect(await storeBatch(database, batch)).toMatchObject({ objects: 2, stored: 1, overtaken: 1 });
    expect((await stored('same', 'x')).n).toBe(2);
  });

  it('identical data sent again makes no revision but still moves the order on', async () => {
    const write = (at: number, n: number): Batch =>
      handMadeBatch(at, [{ namespace: 'again', objects: [object('x', { n })] }]);
    await storeBatch(database, write(4_000_001, 1));
    await storeBatch(database, write(4_000_003, 1));
    await storeBatch(database, write(4_000_002, 2));
    expect(await stored('again', 'x')).toEqual({ n: 1, revision: 1 });
  });

  it('many workers storing shuffled batches of the same ids, each batch twice, end with the last of each', async () => {
    const seed = Date.now();
    const random = seededRandom(seed);
    const ids = Array.from({ length: 40 }, (_, i) => `id-${i}`);
    const batches = Array.from({ length: 120 }, (_, n) =>
      handMadeBatch(
        5_000_000 + n,
        // Each batch in an order of its own: without sorted locks this would deadlock.
        [
          {
            namespace: 'hot',
            objects: shuffled(ids, random)
              .slice(0, 25)
              .map((id) => object(id, { n })),
          },
          {
            namespace: 'hot',
            objects: shuffled(ids, random)
              .slice(0, 5)
              .map((id) => object(id, { n: n + 0.5 })),
          },
        ],
      ),
    );
    const expected = new Map<string, number>();
    batches.forEach((batch, n) => {
      batch.requests.forEach((request, position) => {
        for (const id of request.ids) expected.set(id, n + position / 2);
      });
    });
    const deadlocks = async (): Promise<string | undefined> => {
      const [row] = await database.query<{ deadlocks: string }>({
        text: 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
      });
      return row?.deadlocks;
    };
    const work = shuffled([...batches, ...batches], random);
    await Promise.all(
      Array.from({ length: 12 }, async () => {
        for (let batch = work.pop(); batch; batch = work.pop()) await storeBatch(database, batch);
      }),
    );
    for (const [id, n] of expected) expect((await stored('hot', id)).n, `seed ${seed}, ${id}`).toBe(n);
    expect(await deadlocks()).toBe('0');
  });
});

describeOnBothQueues('writes in flight together', ({ redisUrl }) => {
  let first: TestInlet;
  let second: TestInlet;
  let drop: () => Promise<void>;

  beforeAll(async () => {
    const created = await createTestDatabase();
    drop = created.drop;
    const config = testConfig({ databaseUrl: created.url, redisUrl });
    first = await TestInlet.start(config, { workers: 3 });
    second = await TestInlet.start(config, { workers: 2 });
  });

  afterAll(async () => {
    await second?.close();
    await first?.close();
    await drop?.();
  });

  it('through two APIs and five workers, each id ends at the version that was acknowledged last', async () => {
    const writers = Array.from({ length: 20 }, async (_, writer) => {
      const id = `shared-${writer}`;
      let requestId = '';
      for (let version = 1; version <= 30; version += 1) {
        const inlet = version % 2 === 0 ? first : second;
        requestId = await inlet.write(
          'flight',
          JSON.stringify({
            data: [
              { id, version },
              { id: 'all', id2: id },
            ],
          }),
        );
      }
      return { id, requestId };
    });
    const last = await Promise.all(writers);
    for (const { requestId } of last) await first.done('flight', requestId);
    for (const { id, requestId } of last) {
      const stored = await first.object('flight', id);
      expect(stored?.data['version'], id).toBe(30);
      expect(stored?.request_id).toBe(requestId);
    }
  });
});
