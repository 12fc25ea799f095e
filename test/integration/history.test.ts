/** The history holds each version that was overwritten exactly once, up to the limit for each object. */
import { describe, expect } from 'vitest';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database } from '../../src/store/database.ts';
import { findObject } from '../../src/store/objects.ts';
import { listRevisions } from '../../src/store/revisions.ts';
import { handMadeBatch, object, seededRandom, shuffled } from '../support/batches.ts';
import { inletTest } from '../support/fixtures.ts';
import { allPages, deletion } from '../support/store.ts';

const test = inletTest();

async function write(on: Database, namespace: string, at: number, members: object): Promise<void> {
  await storeBatch(on, handMadeBatch(at, [{ namespace, objects: [object('x', { ...members })] }]));
}

async function revisions(database: Database, namespace: string): Promise<number[]> {
  const page = await listRevisions(database, namespace, 'x', undefined, 500);
  return page?.items.map(({ revision }) => revision) ?? [];
}

describe('history', () => {
  test('tells of each version when it was accepted, by which request, and until when it counted', async ({
    store: { database },
  }) => {
    const first = handMadeBatch(1_000_001, [{ namespace: 'facts', objects: [object('x', { n: 1 })] }]);
    const second = handMadeBatch(1_000_002, [{ namespace: 'facts', objects: [object('x', { n: 2 })] }]);
    await storeBatch(database, first);
    const before = await findObject(database, 'facts', 'x');
    await storeBatch(database, second);
    const page = await listRevisions(database, 'facts', 'x', undefined, 10);
    expect(page?.items[1]).toEqual({
      revision: 1,
      data: before?.data,
      requestId: before?.requestId,
      acceptedAt: 1_000_001,
      stamp: '1000001',
      updatedAt: before?.updatedAt,
    });
    const [row] = await database.query({
      text: `SELECT r.replaced_at = o.updated_at AS same
             FROM inlet.revisions AS r JOIN inlet.objects AS o USING (namespace, id) WHERE namespace = 'facts'`,
    });
    expect(row).toEqual({ same: true });
  });

  test('gets no revision from identical data, from an older write, or from a batch stored twice', async ({
    store: { database },
  }) => {
    await write(database, 'same', 1_000_001, { n: 1 });
    await write(database, 'same', 1_000_003, { n: 1 });
    await write(database, 'same', 1_000_002, { n: 2 });
    expect(await revisions(database, 'same')).toEqual([1]);
    const batch = handMadeBatch(1_000_004, [{ namespace: 'same', objects: [object('x', { n: 3 })] }]);
    await storeBatch(database, batch);
    await storeBatch(database, batch);
    expect(await revisions(database, 'same')).toEqual([2, 1]);
  });

  test('keeps as many former versions as the limit says, the latest ones', async ({ store }) => {
    const { database } = store;
    const limited = store.withHistoryLimit(3);
    for (let n = 1; n <= 10; n += 1) await write(limited, 'limit', n, { n });
    expect(await revisions(database, 'limit')).toEqual([10, 9, 8, 7]);
  });

  test('comes down to a limit that was lowered, and keeps nothing more where it is 0', async ({ store }) => {
    const { database } = store;
    for (let n = 1; n <= 130; n += 1) await write(database, 'lower', n, { n });
    expect(await revisions(database, 'lower')).toHaveLength(101);
    await write(store.withHistoryLimit(1), 'lower', 131, { n: 131 });
    expect(await revisions(database, 'lower')).toEqual([131, 130]);
    await write(store.withHistoryLimit(0), 'lower', 132, { n: 132 });
    expect(await revisions(database, 'lower')).toEqual([132, 130]);
  });

  test('holds each version exactly once when shuffled batches are stored together, each of them twice or more', async ({
    store: { database },
  }) => {
    const seed = Date.now();
    const random = seededRandom(seed);
    const ids = Array.from({ length: 30 }, (_, i) => `id-${i}`);
    const batches = Array.from({ length: 100 }, (_, n) => {
      const some = shuffled(ids, random).slice(0, 20);
      const objects = some.map((id) => (random() < 0.2 ? deletion(id) : object(id, { n })));
      return handMadeBatch(7_000_000 + n, [{ namespace: 'hot', objects }]);
    });
    // What is overwritten depends on the order in which the batches are stored; a log by a trigger of its own tells.
    await database.query({
      text: `CREATE TABLE public.seen (id text, revision bigint, data jsonb, PRIMARY KEY (id, revision));`,
    });
    await database.query({
      text: `CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NEW.namespace = 'hot' AND (TG_OP = 'INSERT' OR NEW.revision <> OLD.revision) THEN
                 INSERT INTO public.seen VALUES (NEW.id, NEW.revision, NEW.data);
               END IF;
               RETURN NULL; END $$;`,
    });
    await database.query({
      text: `CREATE TRIGGER see AFTER INSERT OR UPDATE ON inlet.objects FOR EACH ROW EXECUTE FUNCTION public.see()`,
    });
    // Taken from the end: some of the oldest go first, so that whatever the seed there are many versions.
    const work = [...shuffled([...batches, ...batches], random), ...shuffled(batches.slice(0, 20), random)];
    await Promise.all(
      Array.from({ length: 12 }, async () => {
        for (let batch = work.pop(); batch; batch = work.pop()) await storeBatch(database, batch);
      }),
    );
    const versions = async (table: string) =>
      database.query({
        text: `SELECT id, revision, data FROM ${table} ORDER BY id COLLATE "C", revision`,
      });
    const seen = await versions('public.seen');
    const kept = await versions(
      `(SELECT * FROM (SELECT id, revision, data FROM inlet.objects WHERE namespace = 'hot'
        UNION ALL SELECT id, revision, data FROM inlet.revisions WHERE namespace = 'hot') AS v) AS v`,
    );
    expect(kept, `seed ${seed}`).toEqual(seen);
    expect(seen.length).toBeGreaterThan(ids.length * 2);
    await database.query({ text: 'DROP TRIGGER see ON inlet.objects' });
    for (const id of ids) {
      const of = seen.filter((row) => row['id'] === id).map((row) => Number(row['revision']));
      expect(of).toEqual(of.map((_, i) => i + 1));
    }
  });

  test('is read in pages that neither lose nor repeat a version while more are added', async ({
    store: { database },
  }) => {
    for (let n = 1; n <= 25; n += 1) await write(database, 'pages', n, { n });
    let n = 25;
    const pages = await allPages<{ revision: number }>(async (last) => {
      const page = await listRevisions(database, 'pages', 'x', last?.revision, 7);
      n += 1;
      await write(database, 'pages', n, { n });
      return page;
    });
    expect(pages.map((page) => page.length)).toEqual([7, 7, 7, 4]);
    expect(pages.flat().map(({ revision }) => revision)).toEqual(
      Array.from({ length: 25 }, (_, i) => 25 - i),
    );
  });

  test('ends a page before it has more than 5 MiB, though not before its first version', async ({
    store: { database },
  }) => {
    const text = 'a'.repeat(2 * 1024 * 1024);
    for (let n = 1; n <= 5; n += 1) await write(database, 'large', n, { n, text });
    await write(database, 'large', 6, { n: 6, text: text.repeat(3) });
    await write(database, 'large', 7, { n: 7 });
    const pages = await allPages<{ revision: number }>((last) =>
      listRevisions(database, 'large', 'x', last?.revision, 500),
    );
    expect(pages.map((page) => page.map(({ revision }) => revision))).toEqual([
      [7],
      [6],
      [5, 4],
      [3, 2],
      [1],
    ]);
  });

  test('keeps a number that is the same but was written differently', async ({ store: { database } }) => {
    const at = (time: number, text: string) =>
      storeBatch(database, handMadeBatch(time, [{ namespace: 'digits', objects: [['x', text]] }]));
    await at(1, '{"id": "x", "v": 1.0}');
    await at(2, '{"id": "x", "v": 1}');
    const page = await listRevisions(database, 'digits', 'x', undefined, 10);
    expect(page?.items.map(({ data }) => data)).toEqual(['{"v": 1, "id": "x"}', '{"v": 1.0, "id": "x"}']);
  });

  test('has nothing of an id that was never seen, and an empty page behind the last version', async ({
    store: { database },
  }) => {
    expect(await listRevisions(database, 'none', 'x', undefined, 10)).toBeUndefined();
    expect(await listRevisions(database, 'none', 'x', 5, 10)).toBeUndefined();
    await write(database, 'empty', 1, { n: 1 });
    expect(await listRevisions(database, 'empty', 'x', 1, 10)).toEqual({ items: [], hasMore: false });
  });
});
