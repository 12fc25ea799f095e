/** What is too old is deleted in small steps, and nothing else. */
import { describe, expect } from 'vitest';
import type { Queryable, Statement } from '../../src/store/database.ts';
import { deleteExpired } from '../../src/store/retention.ts';
import { describeOnBothQueues, inletTest } from '../support/fixtures.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const DAY_MS = 24 * 3_600_000;
const TIMES = { requests: 30 * DAY_MS, revisions: 90 * DAY_MS, deliveries: 10 * DAY_MS };
const never = new AbortController().signal;

/** Requests and versions of each age in days, as many as are asked for. */
const fillWithOld = (ages: number[], each: number): string => `
  INSERT INTO inlet.requests (request_id, namespace, status, accepted_at, completed_at, ids, objects)
  SELECT 'req_' || age || '_' || i, 'n', 'succeeded', now() - interval '400 days', now() - age * interval '1 day', '[]', 0
  FROM unnest('{${ages}}'::float[]) AS age, generate_series(1, ${each}) AS i;
  INSERT INTO inlet.revisions (namespace, id, revision, data, request_id, accepted_at, stored_at, replaced_at)
  SELECT 'n', 'id-' || age, i, '{}', 'r', now() - interval '400 days', now() - interval '400 days',
         now() - age * interval '1 day'
  FROM unnest('{${ages}}'::float[]) AS age, generate_series(1, ${each}) AS i;`;

/** Rows of all tables, as many of each age in days. */
const fill = (ages: number[], each = 1): string => `${fillWithOld(ages, each)}
  INSERT INTO inlet.failed_objects (request_id, index, namespace, id, object, sqlstate, message, accepted_at, failed_at)
  SELECT 'req_' || age, i, 'n', 'id', '{}', '22P05', 'm', now() - interval '400 days', now() - interval '400 days'
  FROM unnest('{${ages}}'::float[]) AS age, generate_series(1, ${each}) AS i;
  INSERT INTO inlet.objects (namespace, id, data, accepted_at, request_id, created_at, updated_at)
  SELECT 'n', 'id-' || age || '-' || i, CASE WHEN i % 2 = 0 THEN '{}'::jsonb END, now() - interval '400 days', 'r',
         now() - interval '400 days', now() - interval '400 days'
  FROM unnest('{${ages}}'::float[]) AS age, generate_series(1, ${each}) AS i;
  -- An upload that nobody has finished.
  INSERT INTO inlet.requests (request_id, namespace, status, accepted_at, completed_at, objects)
  VALUES ('req_open', 'n', 'uploading', now() - interval '400 days', NULL, 0)`;

const COUNTS = `
  SELECT (SELECT array_agg(request_id ORDER BY request_id) FROM inlet.requests) AS requests,
         (SELECT array_agg(id ORDER BY id) FROM inlet.revisions) AS revisions,
         (SELECT count(*)::int FROM inlet.failed_objects) AS failed,
         (SELECT count(*)::int FROM inlet.objects) AS objects`;

const test = inletTest();

describe('deleteExpired', () => {
  test.beforeEach(async ({ store: { database } }) => {
    const text = `TRUNCATE inlet.requests, inlet.revisions, inlet.failed_objects, inlet.objects,
                           inlet.imports, inlet.import_chunks`;
    await database.query({ text });
  });

  test('deletes what is due and nothing else', async ({ store: { database } }) => {
    await database.query({ text: fill([1, 29.9, 30.1, 89.9, 90.1, 365]) });
    expect(await deleteExpired(database, TIMES, never)).toEqual({
      requests: 4,
      revisions: 2,
      deliveries: 0,
      discarded: 0,
    });
    expect(await database.query({ text: COUNTS })).toEqual([
      {
        requests: ['req_1_1', 'req_29.9_1', 'req_open'],
        revisions: ['id-1', 'id-29.9', 'id-30.1', 'id-89.9'],
        failed: 6,
        objects: 6,
      },
    ]);
    expect(await deleteExpired(database, TIMES, never)).toEqual({
      requests: 0,
      revisions: 0,
      deliveries: 0,
      discarded: 0,
    });
  });

  test('deletes deliveries of webhooks, those that wait only after a month', async ({
    store: { database },
  }) => {
    await database.query({
      text: `
        INSERT INTO inlet.webhook_deliveries
          (endpoint_id, webhook_id, type, namespace, object_id, request_id, accepted_at, status, created_at)
        SELECT 'ep', status || age, 'workflow.succeeded', 'n', 'o', 'r', now(), status, now() - age * interval '1 day'
        FROM unnest('{9,11,29,31}'::int[]) AS age, unnest('{pending,succeeded,failed}'::text[]) AS status`,
    });
    expect(await deleteExpired(database, TIMES, never)).toEqual({
      ...{ requests: 0, revisions: 0, deliveries: 7, discarded: 0 },
    });
    const left = await database.query<{ webhook_id: string }>({
      text: 'SELECT webhook_id FROM inlet.webhook_deliveries ORDER BY webhook_id',
    });
    expect(left.map(({ webhook_id }) => webhook_id)).toEqual([
      ...['failed9', 'pending11', 'pending29', 'pending9', 'succeeded9'],
    ]);
  });

  test('deletes what is left of discarded objects as long after as it keeps requests, and never before their request', async ({
    store: { database },
  }) => {
    await database.query({
      text: `
        INSERT INTO inlet.requests (request_id, namespace, status, accepted_at, completed_at, ids, objects, failed)
        VALUES ('evaluated', 'n', 'ingesting', now() - interval '400 days', NULL, '["id"]', 1, 1);
        INSERT INTO inlet.failed_objects
          (request_id, index, namespace, id, object, sqlstate, message, accepted_at, failed_at, discarded_at)
        SELECT r, age, 'n', 'id', '', '22P05', 'm', now(), now() - interval '400 days', now() - age * interval '1 day'
        FROM unnest('{29,31}'::int[]) AS age, unnest('{gone,evaluated}'::text[]) AS r`,
    });
    expect(await deleteExpired(database, TIMES, never)).toMatchObject({ discarded: 1 });
    const left = await database.query({
      text: 'SELECT request_id, index FROM inlet.failed_objects ORDER BY 1, 2',
    });
    expect(left).toEqual([
      { request_id: 'evaluated', index: 29 },
      { request_id: 'evaluated', index: 31 },
      { request_id: 'gone', index: 29 },
    ]);
  });

  test('deletes imports with all that they have, also those that were never completed', async ({
    store: { database },
  }) => {
    await database.query({
      text: `
        INSERT INTO inlet.requests (request_id, namespace, status, accepted_at, completed_at, objects)
        SELECT id, 'n', status, now(), completed_at, 0 FROM (VALUES
          ('req_done_old', 'succeeded', now() - interval '31 days'), ('req_done_new', 'succeeded', now()),
          ('req_left_old', 'uploading', NULL), ('req_left_new', 'queued', NULL),
          ('req_alive', 'uploading', NULL), ('req_storing', 'ingesting', NULL)
        ) AS r (id, status, completed_at);
        INSERT INTO inlet.imports (request_id, expires_at, chunks, alive_at)
        SELECT id, now() - age * interval '1 day', chunks, alive_at FROM (VALUES
          ('req_done_old', 40, 1, NULL), ('req_done_new', 40, 1, NULL),
          ('req_left_old', 31, NULL, now() - interval '31 days'), ('req_left_new', 29, NULL, NULL),
          ('req_alive', 31, NULL, now()), ('req_storing', 31, 2, NULL)
        ) AS i (id, age, chunks, alive_at);
        INSERT INTO inlet.import_chunks (request_id, chunk, ids) SELECT request_id, 0, '[]' FROM inlet.imports`,
    });
    expect(await deleteExpired(database, TIMES, never)).toEqual({
      requests: 2,
      revisions: 0,
      deliveries: 0,
      discarded: 0,
    });
    const kept = ['req_alive', 'req_done_new', 'req_left_new', 'req_storing'];
    for (const table of ['requests', 'imports', 'import_chunks']) {
      const rows = await database.query<{ request_id: string }>({
        text: `SELECT request_id FROM inlet.${table} ORDER BY request_id`,
      });
      expect(
        rows.map(({ request_id }) => request_id),
        table,
      ).toEqual(kept);
    }
  });

  test('goes in steps of at most 1,000 rows, and stops between two when it has to', async ({
    store: { database },
  }) => {
    await database.query({ text: fill([100], 2_500) });
    const stop = new AbortController();
    const steps: number[] = [];
    const watched: Queryable = {
      async query(statement: Statement) {
        const rows = await database.query(statement);
        if (statement.text.includes('DELETE')) steps.push(rows.length);
        if (steps.length === 2) stop.abort();
        return rows as never;
      },
      write: (statement) => database.write(statement),
    };
    expect(await deleteExpired(watched, TIMES, stop.signal)).toEqual({
      requests: 2_000,
      revisions: 0,
      deliveries: 0,
      discarded: 0,
    });
    expect(steps).toEqual([1_000, 1_000]);
    expect(await deleteExpired(watched, TIMES, never)).toEqual({
      requests: 500,
      revisions: 2_500,
      deliveries: 0,
      discarded: 0,
    });
    // The 0: no import was abandoned.
    expect(steps).toEqual([1_000, 1_000, 500, 0, 1_000, 1_000, 500]);
  });

  test('gets through more than it looks up at a time', async ({ store: { database } }) => {
    await database.query({ text: fillWithOld([100], 50_001) });
    expect(await deleteExpired(database, TIMES, never)).toEqual({
      requests: 50_001,
      revisions: 50_001,
      deliveries: 0,
      discarded: 0,
    });
  });

  test('run by two at once deletes each row once, and waits for nobody', async ({ store: { database } }) => {
    await database.query({ text: fill([100], 5_000) });
    const both = await Promise.all([1, 2].map(() => deleteExpired(database, TIMES, never)));
    expect(both.reduce((sum, { requests }) => sum + requests, 0)).toBe(5_000);
    await database.query({ text: fill([101], 10).replace("'req_open'", "'req_other'") });
    await database.transaction(async (other) => {
      await other.query({ text: `SELECT 1 FROM inlet.revisions WHERE revision <= 3 FOR UPDATE` });
      expect(await deleteExpired(database, TIMES, never)).toEqual({
        requests: 10,
        revisions: 7,
        deliveries: 0,
        discarded: 0,
      });
    });
    expect(await deleteExpired(database, TIMES, never)).toEqual({
      requests: 0,
      revisions: 3,
      deliveries: 0,
      discarded: 0,
    });
  });
});

describeOnBothQueues(
  'workers',
  (test) => {
    test('delete what is too old by themselves', async ({ inlet: _, databaseUrl }) => {
      const counts = await waitFor('former versions to be deleted', async () => {
        const [row] = await query(databaseUrl, COUNTS);
        return (row?.['revisions'] as string[] | undefined)?.length === 3 && row;
      });
      expect(counts).toEqual({
        requests: ['req_29_1', 'req_open'],
        revisions: ['id-29', 'id-31', 'id-89'],
        failed: 4,
        objects: 4,
      });
    });
  },
  { workers: 2, prepare: (databaseUrl) => query(databaseUrl, fill([29, 31, 89, 91])) },
);
