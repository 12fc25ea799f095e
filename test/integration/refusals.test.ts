/**
 * Triggers, constraints and policies of an operator's own may refuse an object with any SQLSTATE. Whatever the code, its
 * neighbours are stored, nothing waits for it, and in the end it is stored or kept as failed.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { Database } from '../../src/store/database.ts';
import { SteadyClient } from '../../src/store/steady-client.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { describeOnBothQueues, inletTest } from '../support/fixtures.ts';
import { importFile } from '../support/imports.ts';
import { query } from '../support/postgres.ts';
import { prepareRefusals } from '../support/refusals.ts';
import { OFTEN, refusal, state } from '../support/refused-batches.ts';
import { waitFor } from '../support/wait-for.ts';
import { insertEndpointRow } from '../support/webhooks.ts';

/** Of every class that a trigger can raise, and of classes that nobody knows. */
const LATER = [
  ...[
    '08006',
    '0A000',
    '21000',
    '25006',
    '28000',
    '2F002',
    '38000',
    '3D000',
    '40001',
    '40P01',
    '42501',
    '42P01',
  ],
  ...['53100', '53300', '55000', '55P03', '57014', '57P01', '57P03', '58030', 'F0000', 'HV000', 'XX001'],
  ...['MY001', 'PT402', 'ZZZZZ'],
];
const AT_ONCE = ['22000', '22P02', '23505', '23514', '44000', '54000', 'P0001', 'XX000'];

const test = inletTest({ prepare: (url) => prepareRefusals(url, [...LATER, ...AT_ONCE]) });

/** Five requests with 40 objects each, one of which is refused. */
function batchWith(namespace: string, code: string): Batch {
  const requests = Array.from({ length: 5 }, (_, r) => ({
    namespace,
    objects: Array.from({ length: 40 }, (_unused, i) =>
      object(`${r}-${i}`, r === 3 && i === 17 ? { refuse: code } : { i }),
    ),
  }));
  return handMadeBatch(1_000_000, requests);
}

describe('an object that is refused', () => {
  test.for(AT_ONCE)(
    'with %s has failed at once, and its neighbours are stored',
    async (code, { store: { database } }) => {
      const namespace = `once-${code.toLowerCase()}`;
      const batch = batchWith(namespace, code);
      expect(await storeBatch(database, batch)).toMatchObject({ objects: 200, stored: 199, failed: 1 });
      const found = await state(database, namespace);
      expect(found.ids).toHaveLength(199);
      expect(found.failed).toEqual([`3-17 ${code}`]);
    },
  );

  test.for(LATER)(
    'with %s waits, and has failed after some tries; its neighbours are stored',
    async (code, { store: { database } }) => {
      const namespace = `later-${code.toLowerCase()}`;
      const batch = batchWith(namespace, code);
      const first = await refusal(storeBatch(database, batch));
      expect(first).toMatchObject({
        refusals: 1,
        refused: { objects: 1, sqlStates: [code], isBroken: false },
      });
      expect(first.outcome).toMatchObject({ requests: 4, objects: 160, stored: 160 });
      expect(await state(database, namespace)).toMatchObject({
        ids: { length: 199 },
        requests: Array(4).fill('succeeded'),
        failed: [],
      });
      const last = await storeBatch(database, { ...batch, isRetried: true, refusals: OFTEN });
      expect(last).toMatchObject({ requests: 1, objects: 40, failed: 1 });
      expect(await state(database, namespace)).toMatchObject({
        requests: ['succeeded', 'succeeded', 'succeeded', 'failed', 'succeeded'],
        failed: [`3-17 ${code}`],
      });
    },
  );

  test.for(LATER)('alone with %s has failed after some tries', async (code, { store: { database } }) => {
    const namespace = `alone-${code.toLowerCase()}`;
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace: 'known', objects: [object('a')] }]));
    const batch = handMadeBatch(1_000_000, [{ namespace, objects: [object('bad', { refuse: code })] }]);
    expect((await refusal(storeBatch(database, batch))).refused).toMatchObject({
      objects: 1,
      isBroken: false,
    });
    expect(await storeBatch(database, { ...batch, isRetried: true, refusals: OFTEN })).toMatchObject({
      failed: 1,
    });
    expect((await state(database, namespace)).failed).toEqual([`bad ${code}`]);
  });

  test('is stored when it can be, and comes before later writes of its id', async ({
    databaseUrl,
    store: { database },
  }) => {
    const namespace = 'mended';
    const objects = [object('x', { n: 1 }), object('y'), object('x', { n: 2, refuse: 'F0000' })];
    const batch = handMadeBatch(1_000_000, [{ namespace, objects }]);
    await refusal(storeBatch(database, batch));
    // The write of the same id and request that stands before it must not take its place.
    expect((await state(database, namespace)).ids).toEqual(['y']);
    await query(databaseUrl, `DELETE FROM public.refused WHERE name = 'F0000'`);
    onTestFinished(
      async () => void (await query(databaseUrl, `INSERT INTO public.refused VALUES ('F0000', 'F0000')`)),
    );
    await storeBatch(database, handMadeBatch(2_000_000, [{ namespace, objects: [object('y', { n: 3 })] }]));
    expect(await storeBatch(database, { ...batch, isRetried: true, refusals: 1 })).toMatchObject({
      failed: 0,
    });
    const rows = await database.query({
      text: `SELECT id, data ->> 'n' AS n FROM inlet.objects WHERE namespace = $1 ORDER BY id`,
      values: [namespace],
    });
    expect(rows).toEqual([
      { id: 'x', n: '2' },
      { id: 'y', n: '3' },
    ]);
    expect((await state(database, namespace)).requests).toEqual(['succeeded', 'succeeded']);
  });

  test('leaves what is done of its batch alone when it is tried again', async ({ store: { database } }) => {
    const namespace = 'done';
    await insertEndpointRow(database, 'ep_done', { namespaces: [namespace] });
    const batch = handMadeBatch(1_000_000, [
      { namespace, objects: [object('a'), object('b', { refuse: 'P0001' })] },
      { namespace, objects: [object('c'), object('d', { refuse: 'MY001' })] },
    ]);
    await refusal(storeBatch(database, batch));
    await database.query({ text: `DELETE FROM inlet.failed_objects WHERE namespace = 'done'` });
    const events = () =>
      database.query({
        text: `SELECT object_id, type FROM inlet.webhook_deliveries WHERE endpoint_id = 'ep_done' ORDER BY object_id`,
      });
    const first = [
      { object_id: 'a', type: 'workflow.succeeded' },
      { object_id: 'b', type: 'workflow.failed' },
    ];
    expect(await events()).toEqual(first);
    await storeBatch(database, { ...batch, isRetried: true, refusals: OFTEN });
    // What was discarded meanwhile doesn't come back.
    expect((await state(database, namespace)).failed).toEqual(['d MY001']);
    expect(await events()).toEqual([
      ...first,
      { object_id: 'c', type: 'workflow.succeeded' },
      { object_id: 'd', type: 'workflow.failed' },
    ]);
  });

  test('is not kept as failed where an earlier try of its batch has stored it', async ({
    databaseUrl,
    store: { database },
  }) => {
    const namespace = 'stored-before';
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace: 'known', objects: [object('a')] }]));
    const objects = [
      object('good', { refuse: 'from now on' }),
      object('twice', { refuse: 'from now on' }),
      object('twice', { refuse: 'P0001' }),
      object('bad', { refuse: '55000' }),
    ];
    const batch = handMadeBatch(1_000_000, [{ namespace, objects }]);
    await refusal(storeBatch(database, batch));
    expect((await state(database, namespace)).ids).toEqual(['good', 'twice']);
    await query(databaseUrl, `INSERT INTO public.refused VALUES ('from now on', 'P0001')`);
    const last = await storeBatch(database, { ...batch, isRetried: true, refusals: OFTEN });
    expect(last).toMatchObject({ objects: 4, failed: 2 });
    expect((await state(database, namespace)).failed).toEqual(['bad 55000', 'twice P0001']);
  });

  test('is found among a thousand that are refused for the same reason', async ({ store: { database } }) => {
    const namespace = 'crowd';
    const objects = Array.from({ length: 1_000 }, (_, i) =>
      object(`o${String(i).padStart(3, '0')}`, i % 100 === 99 ? {} : { refuse: '42501' }),
    );
    const batch = handMadeBatch(1_000_000, [{ namespace, objects }]);
    expect((await refusal(storeBatch(database, batch))).refused.objects).toBe(990);
    expect((await state(database, namespace)).ids).toHaveLength(10);
  });

  test('behind a row that somebody has locked waits for as long as that takes, and nothing else does', async ({
    databaseUrl,
    store: { database },
  }) => {
    const namespace = 'locked';
    const objects = Array.from({ length: 50 }, (_, i) => object(`o${i}`, { n: 1 }));
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace, objects }]));
    const holder = new Database({
      url: databaseUrl,
      poolSize: 1,
      queryTimeoutMs: 60_000,
      onError: () => undefined,
    });
    onTestFinished(() => holder.close());
    const later = handMadeBatch(2_000_000, [
      { namespace, objects: objects.map(([id]) => object(id, { n: 2 })) },
    ]);
    await holder.transaction(async (transaction) => {
      await transaction.query({ text: 'SET LOCAL idle_in_transaction_session_timeout = 0' });
      await transaction.query({
        text: `SELECT FROM inlet.objects WHERE namespace = 'locked' AND id = 'o7' FOR UPDATE`,
      });
      const { refused, refusals } = await refusal(storeBatch(database, { ...later, refusals: OFTEN }));
      expect(refusals, "locks are nobody's fault").toBe(OFTEN);
      expect(refused).toEqual({ objects: 1, sqlStates: ['55P03'], isBroken: false, isLocked: true });
    });
    const old = await database.query({
      text: `SELECT id FROM inlet.objects WHERE namespace = 'locked' AND data ->> 'n' = '1'`,
    });
    expect(old).toEqual([{ id: 'o7' }]);
    expect(await storeBatch(database, { ...later, isRetried: true, refusals: OFTEN })).toMatchObject({
      stored: 1,
      failed: 0,
    });
  });
});

describeOnBothQueues(
  'objects that are refused with a code of the infrastructure',
  (test) => {
    test('hold up nobody: more of them than a worker takes at once, and an array and a file with one each', async ({
      databaseUrl,
      inlet,
    }) => {
      const codes = ['55000', '55P03', '57014', '40001', '53100', 'MY001'];
      const bad = (i: number) => JSON.stringify({ id: `bad${i}`, refuse: codes[i % codes.length] });
      const refused = await Promise.all(
        Array.from({ length: 40 }, (_, i) => inlet.write('single', `{"data":${bad(i)}}`)),
      );
      const array = Array.from({ length: 200 }, (_, i) =>
        i === 99 ? bad(0) : JSON.stringify({ id: `a${i}` }),
      );
      const arrayId = await inlet.write('array', `{"data":[${array.join()}]}`);
      const file = Array.from({ length: 2_500 }, (_, i) =>
        i === 1_200 ? bad(1) : JSON.stringify({ id: `f${i}` }),
      );
      const importId = await importFile(inlet, 'file', `${file.join('\n')}\n`);
      for (let i = 0; i < 5; i += 1) {
        const id = await inlet.write('single', JSON.stringify({ data: { id: `good${i}` } }));
        expect((await inlet.done('single', id)).status).toBe('succeeded');
        await delay(50);
      }
      const stored = async (namespace: string, count: number) =>
        waitFor(`${count} objects of ${namespace} to be stored`, async () => {
          const [row] = await query(
            databaseUrl,
            `SELECT count(*)::int AS n FROM inlet.objects WHERE namespace = '${namespace}'`,
          );
          return row?.['n'] === count;
        });
      await stored('array', 199);
      await stored('file', 2_499);
      // None of them is lost: when nothing refuses them any more they are stored.
      await query(databaseUrl, 'DROP TRIGGER refuse ON inlet.objects');
      for (const id of refused) expect((await inlet.done('single', id)).status).toBe('succeeded');
      expect((await inlet.done('array', arrayId)).status).toBe('succeeded');
      expect((await inlet.done('file', importId)).status).toBe('succeeded');
    });

    test('hold up nobody: writes of an object whose row somebody has locked', async ({
      databaseUrl,
      inlet,
    }) => {
      const write = (id: string) => inlet.write('hot', JSON.stringify({ data: { id, n: Math.random() } }));
      await inlet.done('hot', await write('hot'));
      const holder = new SteadyClient({ connectionString: databaseUrl });
      await holder.connect();
      onTestFinished(() => holder.end());
      await holder.query(
        `BEGIN; SELECT FROM inlet.objects WHERE namespace = 'hot' AND id = 'hot' FOR UPDATE`,
      );
      const waiting: string[] = [];
      for (let i = 0; i < 8; i += 1) {
        waiting.push(await write('hot'));
        const other = await write(`other${i}`);
        expect((await inlet.done('hot', other)).status).toBe('succeeded');
      }
      expect((await inlet.status('hot', waiting[0] ?? '')).status).toBe('ingesting');
      await holder.query('COMMIT');
      for (const id of waiting) expect((await inlet.done('hot', id)).status).toBe('succeeded');
      const [row] = await query(
        databaseUrl,
        `SELECT request_id FROM inlet.objects WHERE namespace = 'hot' AND id = 'hot'`,
      );
      expect(row).toEqual({ request_id: waiting.at(-1) });
    });
  },
  { prepare: (url) => prepareRefusals(url, LATER), settings: { workerConcurrency: 2 } },
);
