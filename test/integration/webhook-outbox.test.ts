/** Events are written with the objects that they tell of, for the endpoints that want them. */
import { describe, expect, onTestFinished } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import { requestIds } from '../../src/domain/batch.ts';
import { EVENT_TYPES } from '../../src/domain/webhook.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { ObjectsRefusedError } from '../../src/ingest/store-outcome.ts';
import type { Database } from '../../src/store/database.ts';
import { SteadyClient } from '../../src/store/steady-client.ts';
import type { Actor } from '../../src/webhooks/management.ts';
import { webhookManagement } from '../../src/webhooks/management.ts';
import type { HandMadeRequest } from '../support/batches.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { inletTest } from '../support/fixtures.ts';
import { deletion, lockWaits } from '../support/store.ts';
import { waitFor } from '../support/wait-for.ts';
import { deliveryRows, insertEndpointRow } from '../support/webhooks.ts';

const UNSTORABLE = ['bad', '{"id": "bad", "text": "\\u0000"}'] as const;

/** Who changes endpoints here. */
const OPERATOR: Actor = { keyId: 'settings_1', isOfSettings: true, audit: () => undefined };

const test = inletTest();
let time = 1_000_000;

function batchOf(...requests: HandMadeRequest[]): Batch {
  time += 1;
  return handMadeBatch(time, requests);
}

/** What was written for an endpoint: type, namespace and object of each. */
async function eventsOf(database: Database, endpointId: string): Promise<string[]> {
  const rows = await deliveryRows(database);
  return rows
    .filter((row) => row.endpoint_id === endpointId)
    .map((row) => `${row.type} ${row.namespace}/${row.object_id}`)
    .sort();
}

describe('the outbox', () => {
  test('stays empty where nobody wants events', async ({ store: { database } }) => {
    await insertEndpointRow(database, 'ep_disabled', { disabled: true });
    const told: string[] = [];
    await storeBatch(database, batchOf({ namespace: 'quiet', objects: [object('a')] }), {
      onEvents: (ids) => told.push(...ids),
    });
    expect(await deliveryRows(database)).toEqual([]);
    expect(told).toEqual([]);
  });

  test('has an event for each object and endpoint that wants it, and says which endpoints got some', async ({
    store: { database },
  }) => {
    await insertEndpointRow(database, 'ep_all', { namespaces: ['shop', 'blog'] });
    await insertEndpointRow(database, 'ep_blog', { namespaces: ['blog'] });
    await insertEndpointRow(database, 'ep_failures', {
      namespaces: ['shop', 'blog'],
      events: ['workflow.failed'],
    });
    await insertEndpointRow(database, 'ep_other', { namespaces: ['other'] });
    const told: string[] = [];
    const batch = batchOf(
      { namespace: 'shop', objects: [object('a'), UNSTORABLE, object('b')] },
      { namespace: 'blog', objects: [object('a')] },
      { namespace: 'neither', objects: [object('x')] },
    );
    await storeBatch(database, batch, { onEvents: (ids) => told.push(...ids) });
    expect(told.sort()).toEqual(['ep_all', 'ep_blog', 'ep_failures']);
    expect(await eventsOf(database, 'ep_all')).toEqual([
      'workflow.failed shop/bad',
      'workflow.succeeded blog/a',
      'workflow.succeeded shop/a',
      'workflow.succeeded shop/b',
    ]);
    expect(await eventsOf(database, 'ep_blog')).toEqual(['workflow.succeeded blog/a']);
    expect(await eventsOf(database, 'ep_failures')).toEqual(['workflow.failed shop/bad']);
    expect(await eventsOf(database, 'ep_other')).toEqual([]);
    const rows = (await deliveryRows(database)).filter(({ endpoint_id }) => endpoint_id === 'ep_all');
    const [shop, blog] = requestIds(batch);
    expect(rows.map(({ webhook_id }) => webhook_id).sort()).toEqual(
      [`${shop}_0`, `${shop}_1`, `${shop}_2`, `${blog}_0`].map((id) => id.replace('req_', 'msg_')).sort(),
    );
    expect(rows.find(({ object_id }) => object_id === 'bad')).toMatchObject({
      ...{ request_id: shop, status: 'pending', attempts: [], tries: 0 },
      error: expect.stringContaining('unsupported Unicode'),
    });
  });

  test('gets nothing more when a batch is stored a second time', async ({ store: { database } }) => {
    await insertEndpointRow(database, 'ep_twice', { namespaces: ['twice'] });
    const batch = batchOf({ namespace: 'twice', objects: [object('a'), UNSTORABLE] });
    await Promise.all([1, 2, 3].map(() => storeBatch(database, batch)));
    await storeBatch(database, batch);
    expect(await eventsOf(database, 'ep_twice')).toEqual([
      'workflow.failed twice/bad',
      'workflow.succeeded twice/a',
    ]);
  });

  test('has one event for an id that is twice in a request, one each for two requests, and none for a delete', async ({
    store: { database },
  }) => {
    await insertEndpointRow(database, 'ep_rules', { namespaces: ['rules'] });
    const late = batchOf({ namespace: 'rules', objects: [object('x', { n: 1 })] });
    await storeBatch(
      database,
      batchOf({ namespace: 'rules', objects: [object('x'), object('x'), object('y')] }),
    );
    await storeBatch(database, late);
    await storeBatch(database, batchOf({ namespace: 'rules', objects: [deletion('y')] }));
    expect(await eventsOf(database, 'ep_rules')).toEqual([
      'workflow.succeeded rules/x',
      'workflow.succeeded rules/x',
      'workflow.succeeded rules/y',
    ]);
  });

  test('holds metadata to the digit, also by a schema that came with the objects', async ({
    store: { database },
  }) => {
    await insertEndpointRow(database, 'ep_meta', { namespaces: ['meta'] });
    const made = batchOf({
      namespace: 'meta',
      objects: [
        ['a', '{"id": "a", "price": 12345678901234567890.10, "other": 1, "tags": ["x"]}'],
        ['b', '{"id": "b"}'],
      ],
    });
    const schema =
      '{"price": {"content_type": "metadata"}, "tags": {"content_type": "metadata"}, "other": {}}';
    const requests = made.requests.map((request) => ({ ...request, schema }));
    await storeBatch(database, { ...made, requests });
    const rows = (await deliveryRows(database)).filter(({ endpoint_id }) => endpoint_id === 'ep_meta');
    expect(rows.map(({ object_id, metadata }) => [object_id, metadata])).toEqual([
      ['a', '{"tags": ["x"], "price": 12345678901234567890.10}'],
      ['b', null],
    ]);
  });

  test('has nothing of a transaction that failed', async ({ store: { database } }) => {
    await insertEndpointRow(database, 'ep_rolled', { namespaces: ['rolled'] });
    await database.query({
      text: `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NEW.endpoint_id = 'ep_rolled' THEN RAISE EXCEPTION 'no' USING ERRCODE = '53100'; END IF;
               RETURN NEW; END $$`,
    });
    await database.query({
      text: `CREATE TRIGGER refuse BEFORE INSERT ON inlet.webhook_deliveries FOR EACH ROW EXECUTE FUNCTION refuse()`,
    });
    const batch = batchOf({ namespace: 'rolled', objects: [object('a')] });
    await expect(storeBatch(database, batch)).rejects.toThrow(ObjectsRefusedError);
    expect(await database.query({ text: `SELECT FROM inlet.objects WHERE namespace = 'rolled'` })).toEqual(
      [],
    );
    await database.query({ text: 'DROP TRIGGER refuse ON inlet.webhook_deliveries' });
    await storeBatch(database, batch);
    expect(await eventsOf(database, 'ep_rolled')).toEqual(['workflow.succeeded rolled/a']);
  });
});

describe('while a store is open', () => {
  const hook = (namespaces: readonly string[]) => ({
    ...{ url: 'https://receiver.example/', description: '', rate: undefined, disabled: false },
    ...{ namespaces, events: EVENT_TYPES },
  });

  /** A store of the namespace that has begun and waits for somebody else's lock. */
  async function openStore(database: Database, databaseUrl: string, namespace: string) {
    await storeBatch(database, batchOf({ namespace, objects: [object('a')] }));
    const locking = new SteadyClient({ connectionString: databaseUrl });
    onTestFinished(() => locking.end());
    await locking.connect();
    await locking.query('BEGIN');
    await locking.query('SELECT FROM inlet.objects WHERE namespace = $1 FOR UPDATE', [namespace]);
    const batch = batchOf({ namespace, objects: [object('a', { n: 2 })] });
    const stored = storeBatch(database, batch);
    await lockWaits(database, 1);
    const text = 'SELECT FROM inlet.requests WHERE request_id = $1';
    return {
      stored,
      isStored: async () => (await database.query({ text, values: requestIds(batch) })).length > 0,
      release: () => locking.query('ROLLBACK'),
    };
  }

  test('an endpoint that loses the namespace gets nothing of it', async ({ store: { database, url } }) => {
    await insertEndpointRow(database, 'ep_loses', { namespaces: ['loses'] });
    const { stored, release } = await openStore(database, url, 'loses');
    const text = `UPDATE inlet.webhook_endpoints SET namespaces = '{gained}' WHERE endpoint_id = 'ep_loses'`;
    await database.query({ text });
    await database.query({ text: `DELETE FROM inlet.webhook_deliveries WHERE endpoint_id = 'ep_loses'` });
    await release();
    await stored;
    expect(await eventsOf(database, 'ep_loses')).toEqual([]);
  });

  test('an endpoint is there when it is stored, and gets the events of all that comes then', async ({
    store: { database, url },
  }) => {
    const { stored, isStored, release } = await openStore(database, url, 'late');
    const making = webhookManagement(database)
      .create(hook(['late']), OPERATOR)
      .then(async (made) => ({ id: made.endpoint.id, wasStored: await isStored() }));
    // Others go on meanwhile, and know it.
    const id = await waitFor('the endpoint', async () => {
      const [row] = await database.query<{ endpoint_id: string }>({
        text: `SELECT endpoint_id FROM inlet.webhook_endpoints WHERE namespaces = '{late}'`,
      });
      return row?.endpoint_id;
    });
    await storeBatch(database, batchOf({ namespace: 'late', objects: [object('b')] }));
    await release();
    expect(await making).toEqual({ id, wasStored: true });
    await stored;
    expect(await eventsOf(database, id)).toEqual(['workflow.succeeded late/b']);
  });

  test('an endpoint that asks for more has its answer when it is stored', async ({
    store: { database, url },
  }) => {
    await insertEndpointRow(database, 'ep_more', { namespaces: ['other'] });
    const { stored, isStored, release } = await openStore(database, url, 'more');
    const changing = webhookManagement(database)
      .update(undefined, 'ep_more', { namespaces: ['more'] }, OPERATOR)
      .then(isStored);
    await waitFor('the change', async () => {
      const text = `SELECT FROM inlet.webhook_endpoints WHERE namespaces = '{more}'`;
      return (await database.query({ text })).length > 0;
    });
    await release();
    expect(await changing).toBe(true);
    await stored;
  });

  test('none is made where it goes on for too long, and a change says so', async ({
    store: { database, url },
  }) => {
    await insertEndpointRow(database, 'ep_patient', { namespaces: ['other'] });
    const { stored, release } = await openStore(database, url, 'long');
    const management = webhookManagement(database, 50);
    await expect(management.create(hook(['long']), OPERATOR)).rejects.toThrow('nothing was made');
    const change = management.update(undefined, 'ep_patient', { namespaces: ['long'] }, OPERATOR);
    await expect(change).rejects.toThrow('the change is made');
    const text = `SELECT endpoint_id FROM inlet.webhook_endpoints WHERE namespaces = '{long}'`;
    expect(await database.query({ text })).toEqual([{ endpoint_id: 'ep_patient' }]);
    await release();
    await stored;
  });
});
