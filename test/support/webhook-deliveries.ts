/** An API whose endpoints nobody sends anything to, and deliveries straight in the table, as workers leave them. */
import { afterAll, beforeAll, beforeEach, inject } from 'vitest';
import type { Database } from '../../src/store/database.ts';
import { eventually, TestInlet, testConfig } from './inlet.ts';
import type { MadeKey } from './keys.ts';
import { bearer, makeKey } from './keys.ts';
import { openTestStore } from './store.ts';
import { insertEndpointRow } from './webhooks.ts';

/** Where deliveries are listed. */
export const DELIVERIES = '/v1/webhooks/deliveries';

/** The endpoints of {@link useDeliveriesApi}: for the namespace mine, for mine and also, and for all namespaces. */
export const FIRST = 'ep_0000000000000001';
export const SECOND = 'ep_0000000000000002';
export const OTHER = 'ep_000000000000000x';

export interface WebhookApi {
  readonly inlet: TestInlet;
  /** What its database is reached by. */
  readonly databaseUrl: string;
  readonly database: Database;
  /** Deletes all endpoints, secrets and deliveries. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

/** Starts an API on a database of its own, without a worker. */
export async function startWebhookApi(): Promise<WebhookApi> {
  const { url, database, close } = await openTestStore();
  const config = testConfig({ databaseUrl: url, redisUrl: inject('redisUrl') ?? undefined });
  const inlet = await TestInlet.start(config, { workers: 0 });
  return {
    inlet,
    databaseUrl: url,
    database,
    async empty() {
      for (const table of ['endpoints', 'secrets', 'deliveries'])
        await database.query({ text: `DELETE FROM inlet.webhook_${table}` });
    },
    async close() {
      await inlet.close();
      await close();
    },
  };
}

/** What tests of deliveries work with. */
interface DeliveriesApi extends Pick<WebhookApi, 'inlet' | 'database'> {
  /** A key of the namespaces mine and also. */
  readonly key: MadeKey;
}

/**
 * Starts such an API for the tests of a file; before each there are {@link FIRST}, {@link SECOND} and {@link OTHER}, which
 * ask for every event, and no deliveries.
 * @returns what can be used from the first test on
 */
export function useDeliveriesApi(): DeliveriesApi {
  let started: (WebhookApi & { readonly key: MadeKey }) | undefined;
  let close = async (): Promise<void> => undefined;
  const parts = () => {
    if (!started) throw new Error('the API is started before the first test');
    return started;
  };
  beforeAll(async () => {
    const api = await startWebhookApi();
    close = api.close;
    started = { ...api, key: await makeKnownKey(api) };
  });
  beforeEach(async () => {
    await parts().empty();
    await insertEndpoints(parts().database);
  });
  afterAll(() => close());
  return {
    get inlet() {
      return parts().inlet;
    },
    get database() {
      return parts().database;
    },
    get key() {
      return parts().key;
    },
  };
}

/** Makes a key, and waits until the API knows it. */
async function makeKnownKey({ databaseUrl, inlet }: WebhookApi): Promise<MadeKey> {
  const key = await makeKey(databaseUrl, '--namespaces', 'mine,also', '--scopes', 'read,admin');
  const isKnown = async () => (await inlet.fetch(DELIVERIES, { headers: bearer(key) })).status === 200;
  await eventually(async () => (await isKnown()) || undefined);
  return key;
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
