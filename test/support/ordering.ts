/** Races in which of all writes of an id the one that was accepted last is to win. */
import { expect } from 'vitest';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database } from '../../src/store/database.ts';
import { findObject } from '../../src/store/objects.ts';
import { handMadeBatch, object, seededRandom, shuffled } from './batches.ts';
import type { TestInlet } from './inlet.ts';

/** Twelve workers store batches of the same ids in any order, each batch twice: no deadlock, and the last of each id stays. */
export async function expectLastOfShuffled(database: Database, size: { batches: number }): Promise<void> {
  const seed = Date.now();
  const random = seededRandom(seed);
  const ids = Array.from({ length: 40 }, (_, i) => `id-${i}`);
  const batches = Array.from({ length: size.batches }, (_, n) =>
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
  const work = shuffled([...batches, ...batches], random);
  await Promise.all(
    Array.from({ length: 12 }, async () => {
      for (let batch = work.pop(); batch; batch = work.pop()) await storeBatch(database, batch);
    }),
  );
  for (const [id, n] of expected) {
    const found = await findObject(database, 'hot', id);
    expect(JSON.parse(found?.data ?? '{}'), `seed ${seed}, ${id}`).toMatchObject({ n });
  }
  const [row] = await database.query<{ deadlocks: string }>({
    text: 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()',
  });
  expect(row?.deadlocks).toBe('0');
}

/** Writers send versions of an id each, by turns through all APIs; each id ends at the version that was acknowledged last. */
export async function expectLastOfEach(
  inlets: readonly [TestInlet, TestInlet],
  { writers, versions }: { writers: number; versions: number },
): Promise<void> {
  const [first] = inlets;
  const last = await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      const id = `shared-${writer}`;
      let requestId = '';
      for (let version = 1; version <= versions; version += 1) {
        const inlet = inlets[version % 2 === 0 ? 0 : 1];
        const data = [
          { id, version },
          { id: 'all', id2: id },
        ];
        requestId = await inlet.write('flight', JSON.stringify({ data }));
      }
      return { id, requestId };
    }),
  );
  for (const { requestId } of last) await first.done('flight', requestId);
  for (const { id, requestId } of last) {
    const stored = await first.object('flight', id);
    expect(stored?.data['version'], id).toBe(versions);
    expect(stored?.request_id).toBe(requestId);
  }
}
