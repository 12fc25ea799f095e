/**
 * Brings the schema up to date from the plain SQL files in `migrations/`, each applied once, in order, in a
 * transaction of its own. A second starter waits for the first and then finds nothing to do.
 */
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { OperatorError } from '../errors.ts';
import type { Queryable } from './database.ts';

const DIRECTORY = new URL('../../migrations/', import.meta.url);
const FILE_NAME = /^(\d{4})_(\w+)\.sql$/;

/** Any number of our own: the key of the advisory lock under which migrations run ("inlet" in ASCII). */
const LOCK_KEY = 0x696e6c6574;

interface Migration {
  readonly version: number;
  readonly name: string;
  readonly file: URL;
}

export interface MigrateOptions {
  readonly databaseUrl: string;
  /** Told of each migration that is applied. */
  readonly onApplied?: (name: string) => void;
  /** Further migrations to run under the same lock. */
  readonly andThen?: (client: pg.Client) => Promise<void>;
}

/**
 * Applies the migrations that the database doesn't have yet.
 * @returns how many were applied
 * @throws pg.DatabaseError where a statement fails; its migration is rolled back, those before it stay
 */
export async function migrate({ databaseUrl, onApplied, andThen }: MigrateOptions): Promise<number> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    application_name: 'inlet migrate',
    connectionTimeoutMillis: 5_000,
  });
  // An error on a broken connection is reported by the query that it breaks.
  client.on('error', () => undefined);
  await client.connect();
  try {
    // Held until the connection ends, whatever happens in between.
    await client.query('SELECT pg_advisory_lock($1)', [LOCK_KEY]);
    await client.query('CREATE SCHEMA IF NOT EXISTS inlet');
    await client.query(`
      CREATE TABLE IF NOT EXISTS inlet.migrations (
        version integer PRIMARY KEY,
        name text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
      )`);
    const current = await client.query<{ version: number }>('SELECT version FROM inlet.migrations');
    const applied = new Set(current.rows.map(({ version }) => version));
    const pending = (await listMigrations()).filter(({ version }) => !applied.has(version));
    for (const migration of pending) {
      await apply(client, migration);
      onApplied?.(migration.name);
    }
    await andThen?.(client);
    return pending.length;
  } finally {
    await client.end();
  }
}

/**
 * Makes sure that the database's schema is at least as new as this code. (A newer one is fine: migrations
 * are written so that the version before can go on running while an upgrade is rolled out.)
 * @throws OperatorError where it is older
 */
export async function requireCurrentSchema(database: Queryable): Promise<void> {
  const wanted = (await listMigrations()).at(-1)?.version ?? 0;
  const found = await schemaVersion(database);
  if (found < wanted) {
    throw new OperatorError(
      `The database has schema version ${found}, and this Inlet needs ${wanted}: run "inlet migrate" first.`,
    );
  }
}

async function schemaVersion(database: Queryable): Promise<number> {
  const [table] = await database.query<{ exists: boolean }>({
    text: `SELECT to_regclass('inlet.migrations') IS NOT NULL AS exists`,
  });
  if (!table?.exists) return 0;
  const [row] = await database.query<{ version: number }>({
    text: 'SELECT coalesce(max(version), 0) AS version FROM inlet.migrations',
  });
  return row?.version ?? 0;
}

async function listMigrations(): Promise<Migration[]> {
  const names = (await readdir(DIRECTORY)).filter((name) => name.endsWith('.sql')).sort();
  return names.map((name, index) => {
    const version = Number(FILE_NAME.exec(name)?.[1]);
    if (version !== index + 1) throw new Error(`migrations/${name}: expected number ${index + 1}`);
    return { version, name: name.slice(0, -'.sql'.length), file: new URL(name, DIRECTORY) };
  });
}

async function apply(client: pg.Client, { version, name, file }: Migration): Promise<void> {
  const sql = await readFile(file, 'utf8');
  await client.query('BEGIN');
  try {
    await client.query(sql);
    await client.query('INSERT INTO inlet.migrations (version, name) VALUES ($1, $2)', [version, name]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  }
}
