/** Of all writes of an id the one that was accepted last is what is stored, whatever order they are stored in. */
import { describe, expect } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database } from '../../src/store/database.ts';
import { findObject } from '../../src/store/objects.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { describeOnBothQueues, inletTest, startInlet } from '../support/fixtures.ts';
import { expectLastOfEach, expectLastOfShuffled } from '../support/ordering.ts';

const test = inletTest();

describe('batches stored in any order', () => {
  async function stored(
    database: Database,
    namespace: string,
    id: string,
  ): Promise<{ n: number; revision: number }> {
    const found = await findObject(database, namespace, id);
    if (!found) throw new Error(`${id} is not stored`);
    return { n: (JSON.parse(found.data) as { n: number }).n, revision: found.revision };
  }

  test('an older batch that comes later changes nothing', async ({ store: { database } }) => {
    const older = handMadeBatch(1_000_001, [{ namespace: 'late', objects: [object('x', { n: 1 })] }]);
    const newer = handMadeBatch(1_000_002, [{ namespace: 'late', objects: [object('x', { n: 2 })] }]);
    expect(await storeBatch(database, newer)).toMatchObject({ objects: 1, stored: 1, overtaken: 0 });
    expect(await storeBatch(database, older)).toMatchObject({ objects: 1, stored: 0, overtaken: 1 });
    expect(await stored(database, 'late', 'x')).toEqual({ n: 2, revision: 1 });
  });

  test('a batch stored twice changes nothing the second time', async ({ store: { database } }) => {
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

  test('of two requests of one batch the later one wins', async ({ store: { database } }) => {
    const batch = handMadeBatch(3_000_000, [
      { namespace: 'same', objects: [object('x', { n: 1 })] },
      { namespace: 'same', objects: [object('x', { n: 2 })] },
    ]);
    expect(await storeBatch(database, batch)).toMatchObject({ objects: 2, stored: 1, overtaken: 1 });
    expect((await stored(database, 'same', 'x')).n).toBe(2);
  });

  test('identical data sent again makes no revision but still moves the order on', async ({
    store: { database },
  }) => {
    const write = (at: number, n: number): Batch =>
      handMadeBatch(at, [{ namespace: 'again', objects: [object('x', { n })] }]);
    await storeBatch(database, write(4_000_001, 1));
    await storeBatch(database, write(4_000_003, 1));
    await storeBatch(database, write(4_000_002, 2));
    expect(await stored(database, 'again', 'x')).toEqual({ n: 1, revision: 1 });
  });

  test('many workers storing shuffled batches of the same ids, each batch twice, end with the last of each', async ({
    store: { database },
  }) => {
    await expectLastOfShuffled(database, { batches: 60 });
  });
});

describeOnBothQueues(
  'writes in flight together',
  (test) => {
    test('through two APIs and five workers, each id ends at the version that was acknowledged last', async ({
      config,
      inlet,
    }) => {
      const second = await startInlet(config, { workers: 2 });
      await expectLastOfEach([inlet, second], { writers: 10, versions: 12 });
    });
  },
  { workers: 3 },
);
