/** Pages are bounded by what they hold: what those before were like, and what comes behind, is nothing to them. */
import { randomBytes } from 'node:crypto';
import { describe, expect } from 'vitest';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database, Queryable } from '../../src/store/database.ts';
import { readCurrent, readOutputs } from '../../src/store/outputs.ts';
import { readResults } from '../../src/store/results.ts';
import { readDue } from '../../src/store/webhook-due.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { evaluationTest, labelled, NS, Recorder, run, statusOf, stored } from '../support/evaluation.ts';
import { insertEndpointRow } from '../support/webhooks.ts';

const COUNT = 16;
const MIB = 1024 * 1024;
const LARGE = 1_000_000;

const test = evaluationTest();

/** Blocks of a table's large values that Postgres reads for what `use` does. */
async function blocksRead(
  database: Database,
  table: string,
  use: (on: Queryable) => Promise<unknown>,
): Promise<number> {
  const count = async (): Promise<number> => {
    const [row] = await database.query<{ blocks: string }>({
      text: `SELECT coalesce(toast_blks_read, 0) + coalesce(toast_blks_hit, 0) AS blocks
             FROM pg_statio_all_tables WHERE relid = $1::regclass`,
      values: [table],
    });
    return Number(row?.blocks);
  };
  const flushed = (run: (on: Queryable) => Promise<unknown>) =>
    database.transaction(async (transaction) => {
      await run(transaction);
      await transaction.query({ text: 'SELECT pg_stat_force_next_flush()' });
    });
  await flushed(async () => undefined);
  const before = await count();
  await flushed(use);
  return (await count()) - before;
}

describe('a page of large values', () => {
  const ids = Array.from({ length: COUNT }, (_, i) => `o${String(i).padStart(2, '0')}`);
  const keys = ids.map((id) => ({ namespace: NS, id }));
  /** Text that can't be made smaller. */
  const text = randomBytes(300_000).toString('base64');

  test.beforeEach(async ({ store: { database } }) => {
    await database.query({
      text: `WITH object AS (
               INSERT INTO inlet.objects (namespace, id, data, accepted_at, request_id)
               SELECT $1, id, jsonb_build_object('id', id, 'text', $3::text), now(), 'r' FROM unnest($2::text[]) AS id
             ), output AS (
               INSERT INTO inlet.outputs (namespace, id, revision, output)
               SELECT $1, id, 0, jsonb_build_object('fields', $3::text) FROM unnest($2::text[]) AS id
             )
             INSERT INTO inlet.webhook_deliveries
               (endpoint_id, webhook_id, type, namespace, object_id, request_id, accepted_at, metadata)
             SELECT 'ep_1', 'msg_' || id, 'workflow.succeeded', $1, id, 'r', now(), jsonb_build_object('text', $3::text)
             FROM unnest($2::text[]) AS id`,
      values: [NS, ids, text],
    });
  });

  // Two of 400 kB fill half a MiB.
  const limit = MIB / 2;
  const pages: readonly [
    string,
    table: string,
    read: (on: Queryable) => Promise<readonly unknown[]>,
    rows: number,
  ][] = [
    ['objects to be evaluated', 'inlet.objects', (on) => readCurrent(on, keys), 6],
    ['outputs', 'inlet.outputs', (on) => readOutputs(on, keys, limit), 2],
    ['results', 'inlet.objects', (on) => readResults(on, NS, ids, ['text'], limit), 1],
    [
      'webhooks that are due',
      'inlet.webhook_deliveries',
      async (on) => (await readDue(on, 'ep_1', [], 100, limit))?.deliveries ?? [],
      1,
    ],
  ];

  test.for(pages)(
    'does not unpack what is behind its end: %s',
    async ([, table, read, rows], { store: { database } }) => {
      const all = await blocksRead(database, table, (on) =>
        on.query({ text: `SELECT sum(octet_length(t::text)) FROM ${table} AS t` }),
      );
      let page: readonly unknown[] = [];
      const blocks = await blocksRead(database, table, async (on) => {
        page = await read(on);
      });
      expect(page).toHaveLength(rows);
      expect(all).toBeGreaterThan(COUNT * 50);
      expect(blocks).toBeLessThan(all / 2);
    },
  );
});

describe('a page of evaluations', () => {
  /** How much the transactions that have written something wrote of outputs, in bytes. */
  async function written(database: Database, table: 'outputs' | 'webhook_deliveries'): Promise<number[]> {
    const rows = await database.query<{ bytes: string }>({
      text: `SELECT sum(octet_length(output::text)) AS bytes FROM inlet.${table} GROUP BY xmin`,
    });
    return rows.map(({ bytes }) => Number(bytes));
  }

  const large = JSON.stringify({ actions: [], labels: ['x'.repeat(LARGE)], fields: {} });

  test('is small where outputs are large, also after many that were small', async ({
    store: { database },
  }) => {
    const objects = Array.from({ length: 500 + COUNT }, (_, i) => object(`o${i}`));
    const batch = handMadeBatch(1_000_000, [{ namespace: NS, objects }]);
    await stored(database, batch);
    let begun = 0;
    let most = 0;
    const evaluator = new Recorder(async ({ id }) => {
      if (Number(id.slice(1)) < 500) return labelled('small');
      begun += 1;
      const [row] = await database.query<{ kept: number }>({
        text: `SELECT count(*)::int AS kept FROM inlet.outputs WHERE octet_length(output::text) > 1000`,
      });
      most = Math.max(most, begun - (row?.kept ?? 0));
      return { outcome: 'succeeded', output: large };
    });
    expect(await run(database, batch, evaluator)).toMatchObject({ succeeded: 500 + COUNT });
    expect(await statusOf(database, requestIdAt(batch.id, 0))).toBe('succeeded');
    for (const table of ['outputs', 'webhook_deliveries'] as const) {
      for (const bytes of await written(database, table)) expect(bytes).toBeLessThan(9 * LARGE);
    }
    // Nine fill a page, and what has begun by then belongs to it.
    expect(most).toBeLessThanOrEqual(9 + evaluator.concurrency);
  });

  test('is small as well where the outputs were there before', async ({ store: { database } }) => {
    const objects = Array.from({ length: COUNT }, (_, i) => object(`o${i}`));
    const first = handMadeBatch(1_000_000, [{ namespace: NS, objects }]);
    await stored(database, first);
    await run(database, first, new Recorder(() => ({ outcome: 'succeeded', output: large })));
    await database.query({ text: 'DELETE FROM inlet.webhook_deliveries' });
    const again = handMadeBatch(2_000_000, [{ namespace: NS, objects }]);
    await stored(database, again);
    expect(await run(database, again, new Recorder())).toMatchObject({ skipped: COUNT });
    const transactions = await written(database, 'webhook_deliveries');
    expect(transactions.reduce((sum, bytes) => sum + bytes)).toBeGreaterThan(COUNT * LARGE);
    for (const bytes of transactions) expect(bytes).toBeLessThan(10 * LARGE);
  });
});

test('events of many objects for many endpoints are written by several statements, each of them told of', async ({
  store: { database },
}) => {
  const endpoints = 60;
  for (let i = 0; i < endpoints; i += 1) await insertEndpointRow(database, `ep_many_${i}`);
  const objects = Array.from({ length: 1_000 }, (_, i) => object(`o${i}`));
  let told = 0;
  const count = async (many: typeof objects): Promise<number> => {
    told = 0;
    await storeBatch(database, handMadeBatch(3_000_000 + many.length, [{ namespace: NS, objects: many }]), {
      onProgress: () => {
        told += 1;
      },
    });
    return told;
  };
  const one = await count(objects.slice(0, 1));
  const many = await count(objects);
  expect(many).toBe(one + 1);
  const [row] = await database.query({ text: 'SELECT count(*)::int AS count FROM inlet.webhook_deliveries' });
  expect(row).toEqual({ count: 1_001 * (endpoints + 1) });
});

test('more objects than one statement writes are stored in order: the last of each id, as one revision', async ({
  store: { database },
}) => {
  await database.query({
    text: `CREATE TABLE public.statements (rows integer);
           CREATE FUNCTION public.count_rows() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN INSERT INTO public.statements SELECT count(*) FROM written; RETURN NULL; END $$;
           CREATE TRIGGER count_rows AFTER INSERT ON inlet.objects REFERENCING NEW TABLE AS written
             FOR EACH STATEMENT EXECUTE FUNCTION public.count_rows()`,
  });
  const first = Array.from({ length: 12_000 }, (_, i) => object(`o${i}`, { v: 1 }));
  const last = first.filter((_, i) => i % 3 === 0).map(([id]) => object(id, { v: 2 }));
  const batch = handMadeBatch(4_000_000, [{ namespace: NS, objects: [...first, ...last] }]);
  expect(await storeBatch(database, batch)).toMatchObject({
    objects: 16_000,
    stored: 12_000,
    overtaken: 4_000,
  });
  const [stored] = await database.query({
    text: `SELECT count(*)::int AS count, max(revision)::int AS revision, sum((data ->> 'v')::int)::int AS sum
           FROM inlet.objects WHERE namespace = $1`,
    values: [NS],
  });
  expect(stored).toEqual({ count: 12_000, revision: 1, sum: 16_000 });
  const statements = await database.query<{ rows: number }>({ text: 'SELECT rows FROM public.statements' });
  expect(statements.map(({ rows }) => rows)).toEqual([10_000, 2_000]);
  await database.query({ text: 'DROP TRIGGER count_rows ON inlet.objects' });
});
