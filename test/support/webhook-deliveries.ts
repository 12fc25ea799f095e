/** An API whose endpoints nobody sends anything to, and deliveries straight in the table, as workers leave them. */
import type { Database } from '../../src/store/database.ts';
import { inletTest } from './fixtures.ts';
import type { TestInlet } from './inlet.ts';
import type { MadeKey } from './keys.ts';
import { bearer, makeKey } from './keys.ts';
import { waitFor } from './wait-for.ts';
import { insertEndpointRow } from './webhooks.ts';

/** Where deliveries are listed. */
export const DELIVERIES = '/v1/webhooks/deliveries';

/** The endpoints of {@link deliveriesTest}: for the namespace mine, for mine and also, and for all namespaces. */
export const FIRST = 'ep_0000000000000001';
export const SECOND = 'ep_0000000000000002';
export const OTHER = 'ep_000000000000000x';

/**
 * `test` with an API without a worker, and a key of the namespaces mine and also. Before each test there are {@link FIRST},
 * {@link SECOND} and {@link OTHER}, which ask for every event, and no deliveries.
 */
export function deliveriesTest() {
  const test = inletTest({ workers: 0 }).extend('key', { scope: 'file' }, ({ databaseUrl, inlet }) =>
    makeKnownKey(databaseUrl, inlet, '--namespaces', 'mine,also', '--scopes', 'read,admin'),
  );
  test.beforeEach(async ({ store: { database } }) => {
    await deleteWebhooks(database);
    await insertEndpoints(database);
  });
  return test;
}

/** Makes a key with further options, and waits until the API knows it. */
export async function makeKnownKey(
  databaseUrl: string,
  inlet: TestInlet,
  ...options: readonly string[]
): Promise<MadeKey> {
  const key = await makeKey(databaseUrl, ...options);
  const isKnown = async () => (await inlet.fetch(DELIVERIES, { headers: bearer(key) })).status === 200;
  await waitFor('the API to know the key', isKnown);
  return key;
}

/** Deletes all endpoints, secrets and deliveries. */
export async function deleteWebhooks(database: Database): Promise<void> {
  for (const table of ['endpoints', 'secrets', 'deliveries'])
    await database.query({ text: `DELETE FROM inlet.webhook_${table}` });
}

async function insertEndpoints(database: Database): Promise<void> {
  await insertEndpointRow(database, FIRST, { namespaces: ['mine'] });
  await insertEndpointRow(database, SECOND, { namespaces: ['mine', 'also'] });
  await insertEndpointRow(database, OTHER);
}

/** The JSON of an answer. @throws Error that shows it where it has another status */
export async function answer<T>(response: Response, status = 200): Promise<T> {
  const text = await response.text();
  if (response.status !== status) throw new Error(`expected ${status}, got ${response.status}: ${text}`);
  return JSON.parse(text) as T;
}

/** A delivery as the API shows it. */
interface Delivery {
  readonly webhook_id: string;
  readonly endpoint_id: string;
  readonly status: string;
  readonly [member: string]: unknown;
}

export interface DeliveryPage {
  readonly data: readonly Delivery[];
  readonly next_cursor: string | null;
}

export interface GivenDelivery {
  readonly webhookId: string;
  readonly status?: 'pending' | 'succeeded' | 'failed';
  readonly type?: string;
  readonly namespace?: string;
  readonly attempts?: readonly unknown[];
  /** RFC 3339. */
  readonly createdAt?: string;
}

/** Inserts deliveries to an endpoint; those that are done have been tried three times. */
export async function insertDeliveries(
  database: Database,
  endpointId: string,
  given: readonly GivenDelivery[],
): Promise<void> {
  const rows = given.map((delivery) => ({
    status: 'pending',
    type: 'workflow.succeeded',
    namespace: 'mine',
    attempts: [],
    createdAt: '2026-11-22T19:00:00Z',
    ...delivery,
  }));
  await database.query({
    text: `INSERT INTO inlet.webhook_deliveries
             (endpoint_id, webhook_id, type, namespace, object_id, request_id, accepted_at, status, attempts, tries,
              created_at, completed_at)
           SELECT $1, "webhookId", type, namespace, 'object', 'req_01h2m7qdmdjckc30e1mnq6xqfd', "createdAt", status,
                  attempts, CASE status WHEN 'pending' THEN 0 ELSE 3 END, "createdAt",
                  CASE WHEN status <> 'pending' THEN "createdAt" END
           FROM jsonb_to_recordset($2::jsonb) AS given
             ("webhookId" text, type text, namespace text, "createdAt" timestamptz, status text, attempts jsonb)`,
    values: [endpointId, JSON.stringify(rows)],
  });
}
