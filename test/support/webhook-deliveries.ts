/** An API whose endpoints nobody sends anything to, and deliveries straight in the table, as workers leave them. */
import { inject } from 'vitest';
import type { Database } from '../../src/store/database.ts';
import { TestInlet, testConfig } from './inlet.ts';
import { openTestStore } from './store.ts';

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

/** The JSON of an answer. @throws Error that shows it where it has another status */
export async function answer<T>(response: Response, status = 200): Promise<T> {
  const text = await response.text();
  if (response.status !== status) throw new Error(`expected ${status}, got ${response.status}: ${text}`);
  return JSON.parse(text) as T;
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
