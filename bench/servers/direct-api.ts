/** (d): one statement for each request, answered after its commit. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { createApi, run, serveWrites } from './plain-api.ts';
import { readSettings } from './settings.ts';
import { UPSERT_LIST, UPSERT_ONE } from './table.ts';

/** More share an fsync, but on two cores no more than these gain anything. */
const CONNECTIONS = 20;

const { port, apiKey, databaseUrl } = readSettings();
const pool = new pg.Pool({ connectionString: databaseUrl, max: CONNECTIONS });

const app = createApi(apiKey);
serveWrites(app, async (namespace, objects) => {
  const data = JSON.stringify(objects);
  await pool.query(
    Array.isArray(objects)
      ? { name: 'upsert-list', text: UPSERT_LIST, values: [namespace, data] }
      : { name: 'upsert-one', text: UPSERT_ONE, values: [namespace, objects.id, data] },
  );
  return randomUUID();
});
await run(app, port);
