/** Policies, triggers and connections by which a table refuses more than single objects, or all of them. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { requestIds } from '../../src/domain/batch.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { Database } from '../../src/store/database.ts';
import { StoreUnavailableError } from '../../src/store/faults.ts';
import { findRequest } from '../../src/store/requests.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { freshDatabase } from '../support/fixtures.ts';
import { query } from '../support/postgres.ts';
import { OFTEN, refusal, state } from '../support/refused-batches.ts';

const AFTER_TRIGGER = `
  CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '42501'; END $$;
  CREATE TRIGGER no AFTER INSERT OR UPDATE ON inlet.objects FOR EACH ROW EXECUTE FUNCTION public.no()`;

describe('a row-level policy', () => {
  test('refuses its objects alone', async () => {
    const url = await freshDatabase();
    const role = `tenant_${process.pid}`;
    await query(
      url,
      `CREATE ROLE ${role} LOGIN PASSWORD 'x' ;
       GRANT USAGE ON SCHEMA inlet TO ${role}; GRANT ALL ON ALL TABLES IN SCHEMA inlet TO ${role};
       ALTER TABLE inlet.objects ENABLE ROW LEVEL SECURITY;
       CREATE POLICY own ON inlet.objects USING (true) WITH CHECK (namespace <> 'foreign')`,
    );
    const as = new URL(url);
    as.username = role;
    as.password = 'x';
    const database = new Database({
      url: as.href,
      poolSize: 2,
      queryTimeoutMs: 10_000,
      onError: () => undefined,
    });
    onTestFinished(async () => {
      await database.close();
      await query(url, `DROP OWNED BY ${role}; DROP ROLE ${role}`);
    });
    const batch = handMadeBatch(1_000_000, [
      { namespace: 'own', objects: [object('a')] },
      { namespace: 'foreign', objects: [object('a')] },
      { namespace: 'own', objects: [object('b')] },
    ]);
    expect((await refusal(storeBatch(database, batch))).refused).toMatchObject({
      objects: 1,
      sqlStates: ['42501'],
    });
    expect((await state(database, 'own')).ids).toEqual(['a', 'b']);
    await storeBatch(database, { ...batch, isRetried: true, refusals: OFTEN });
    expect((await state(database, 'foreign')).failed).toEqual(['a 42501']);
  });
});

test('a request whose storing ends the connection each time keeps no others of its batch waiting', async () => {
  const url = await freshDatabase();
  const database = new Database({ url, poolSize: 2, queryTimeoutMs: 10_000, onError: () => undefined });
  onTestFinished(() => database.close());
  await query(
    url,
    `CREATE FUNCTION public.leave() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN new; END $$;
     CREATE TRIGGER leave BEFORE INSERT ON inlet.objects FOR EACH ROW WHEN (new.id = 'o3')
     EXECUTE FUNCTION public.leave()`,
  );
  const batch = handMadeBatch(
    1_000_000,
    [...Array(10).keys()].map((i) => ({ namespace: 'ns', objects: [object(`o${i}`)] })),
  );
  await expect(storeBatch(database, { ...batch, isRetried: true })).rejects.toThrow(StoreUnavailableError);
  expect((await state(database, 'ns')).ids).toHaveLength(9);
  await query(url, 'DROP TRIGGER leave ON inlet.objects');
  expect(await storeBatch(database, { ...batch, isRetried: true })).toMatchObject({ requests: 1, stored: 1 });
});

describe('a table that takes nothing', () => {
  test('keeps everything waiting, however often it is tried, and tries little', async () => {
    const url = await freshDatabase();
    const database = new Database({ url, poolSize: 2, queryTimeoutMs: 10_000, onError: () => undefined });
    onTestFinished(() => database.close());
    await storeBatch(database, handMadeBatch(1_000_000, [{ namespace: 'before', objects: [object('a')] }]));
    await query(
      url,
      `CREATE SEQUENCE public.tries;
       CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN PERFORM nextval('public.tries'); RAISE EXCEPTION 'no' USING ERRCODE = '42501'; END $$;
       CREATE TRIGGER no BEFORE INSERT ON inlet.objects FOR EACH ROW EXECUTE FUNCTION public.no()`,
    );
    const objects = Array.from({ length: 500 }, (_, i) => object(`o${i}`));
    const batch = handMadeBatch(1_000_000, [{ namespace: 'broken', objects }]);
    const { refused, refusals } = await refusal(storeBatch(database, { ...batch, refusals: OFTEN }));
    expect(refused).toMatchObject({ objects: 500, sqlStates: ['42501'], isBroken: true });
    // It isn't the batch's fault.
    expect(refusals).toBe(OFTEN);
    const [{ tries } = { tries: 0 }] = await query(url, 'SELECT last_value::int AS tries FROM public.tries');
    expect(tries).toBeLessThan(20);
    await query(url, 'DROP TRIGGER no ON inlet.objects');
    expect(await storeBatch(database, { ...batch, isRetried: true, refusals: OFTEN })).toMatchObject({
      stored: 500,
    });
  });

  test.for([
    ['a trigger that comes after the write', AFTER_TRIGGER],
    ['the history', 'ALTER TABLE inlet.revisions RENAME TO revisions_away'],
  ] as const)('because of %s keeps everything waiting', async ([, broken]) => {
    const url = await freshDatabase();
    const database = new Database({ url, poolSize: 2, queryTimeoutMs: 10_000, onError: () => undefined });
    onTestFinished(() => database.close());
    const batch = (n: number) => handMadeBatch(n, [{ namespace: 'ns', objects: [object('a', { n })] }]);
    await storeBatch(database, batch(1_000_000));
    await query(url, broken);
    const { refused } = await refusal(storeBatch(database, { ...batch(2_000_000), refusals: OFTEN }));
    expect(refused).toMatchObject({ objects: 1, isBroken: true });
  });

  test('of one namespace keeps what it refuses as failed, wherever that stands in the table', async () => {
    const url = await freshDatabase();
    const database = new Database({ url, poolSize: 2, queryTimeoutMs: 10_000, onError: () => undefined });
    onTestFinished(() => database.close());
    const batch = (namespace: string) => handMadeBatch(1_000_000, [{ namespace, objects: [object('a')] }]);
    for (const namespace of ['aaa', 'mmm', 'zzz']) await storeBatch(database, batch(namespace));
    await query(
      url,
      `CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION '%', repeat('no', 10000) USING ERRCODE = '42501'; END $$;
       CREATE TRIGGER no BEFORE INSERT ON inlet.objects FOR EACH ROW WHEN (new.namespace = 'aaa')
       EXECUTE FUNCTION public.no()`,
    );
    const outcome = await storeBatch(database, { ...batch('aaa'), refusals: OFTEN });
    expect(outcome).toMatchObject({ stored: 0, failed: 1 });
    // However long the message, what is kept of it has a bound: there may be ten thousand.
    const kept = await database.query({ text: 'SELECT length(message) FROM inlet.failed_objects' });
    expect(kept).toEqual([{ length: 2_000 }]);
  });

  test('also keeps requests waiting where their record is refused, and records the others', async () => {
    const url = await freshDatabase();
    const database = new Database({ url, poolSize: 2, queryTimeoutMs: 10_000, onError: () => undefined });
    onTestFinished(() => database.close());
    await query(url, `ALTER TABLE inlet.requests ADD CONSTRAINT mine CHECK (namespace <> 'unwanted')`);
    const batch = handMadeBatch(1_000_000, [
      { namespace: 'ns', objects: [object('a')] },
      { namespace: 'unwanted', objects: [object('a')] },
      { namespace: 'ns', objects: [object('b')] },
    ]);
    const { refused, outcome } = await refusal(storeBatch(database, batch));
    expect(refused).toMatchObject({ objects: 1, sqlStates: ['23514'] });
    expect(outcome).toMatchObject({ requests: 2, stored: 2 });
    const [first, second] = requestIds(batch);
    expect(await findRequest(database, 'ns', first ?? '')).toMatchObject({ status: 'succeeded' });
    expect(await findRequest(database, 'unwanted', second ?? '')).toBeUndefined();
    await query(url, 'ALTER TABLE inlet.requests DROP CONSTRAINT mine');
    expect(await storeBatch(database, { ...batch, isRetried: true })).toMatchObject({
      requests: 1,
      stored: 1,
    });
  });
});
