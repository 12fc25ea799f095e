/** (c), the worker: ten jobs at a time, one statement for each object, a transaction for each job. */
import { Worker } from 'bullmq';
import { fastify } from 'fastify';
import pg from 'pg';
import type { PlainObject } from './plain-api.ts';
import { run } from './plain-api.ts';
import { readSettings } from './settings.ts';
import { UPSERT_ONE } from './table.ts';

const CONCURRENCY = 10;

interface Write {
  readonly namespace: string;
  readonly objects: PlainObject | PlainObject[];
}

const { port, databaseUrl, redisUrl } = readSettings();
const pool = new pg.Pool({ connectionString: databaseUrl, max: CONCURRENCY });
const worker = new Worker<Write>(
  'textbook',
  async ({ data: { namespace, objects } }) => {
    await storeAll(namespace, Array.isArray(objects) ? objects : [objects]);
  },
  { connection: { url: redisUrl, maxRetriesPerRequest: null }, concurrency: CONCURRENCY },
);
await worker.waitUntilReady();

const app = fastify();
app.get('/readyz', () => ({ status: 'up' }));
app.addHook('onClose', () => worker.close());
await run(app, port);

async function storeAll(namespace: string, objects: readonly PlainObject[]): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    for (const object of objects) await store(client, namespace, object);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  } finally {
    client.release();
  }
}

async function store(on: pg.PoolClient, namespace: string, object: PlainObject): Promise<void> {
  await on.query({
    name: 'upsert',
    text: UPSERT_ONE,
    values: [namespace, object.id, JSON.stringify(object)],
  });
}
