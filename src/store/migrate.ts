/**
 * Brings the schema up to date from the plain SQL files in `migrations/`, each applied once, in order, in a
 * transaction of its own. A second starter waits for the first, and applies what that hasn't.
 */
import { readdir, readFile } from 'node:fs/promises';
import { OperatorError } from '../errors.ts';
import type { Queryable } from './database.ts';
import { Database, queryableOn, unavailable } from './database.ts';
import { requireUtf8 } from './encoding.ts';
import { faultKind, sqlState } from './faults.ts';
import type { LockPatience, LockWait } from './lock-wait.ts';
import { withLocks } from './lock-wait.ts';
import type { Runtime } from './runtime-role.ts';
import { grantRuntimeRole } from './runtime-role.ts';
import { SteadyClient } from './steady-client.ts';

const DIRECTORY = new URL('../../migrations/', import.meta.url);
const FILE_NAME = /^(\d{4})_(\w+)\.sql$/;

/** Any number of our own: the key of the advisory lock under which migrations run ("inlet" in ASCII). */
const LOCK_KEY = 0x696e6c6574;

const CREATE_LEDGER = `
  CREATE SCHEMA IF NOT EXISTS inlet;
  CREATE TABLE IF NOT EXISTS inlet.migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
  )`;

/** For as long as a migration waits nothing is stored or read; in the pauses all that queued behind it gets its turn. */
const PATIENCE: LockPatience = { waitMs: 2_000, pauseMs: 5_000, giveUpMs: 60_000 };

/** A second starter waits for the first without a pause: nobody queues behind it. */
const PAUSE_FOR_ANOTHER_STARTER_MS = 0;

/** How long a look for those who hold a lock may take, in milliseconds. */
const LOOK_TIMEOUT_MS = 2_000;

/** Which limits there are depends on the version of Postgres. */
const SET_NO_LIMITS = `
  SELECT pg_backend_pid() AS pid, set_config(name, '0', true) FROM pg_settings
  WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')`;

/** Something that is applied once, in a transaction of its own. */
export interface Migration {
  readonly name: string;
  isPending(database: Queryable): Promise<boolean>;
  apply(transaction: Queryable): Promise<void>;
}

export interface MigrateOptions {
  /** Of the role that owns the tables. */
  readonly databaseUrl: string;
  /** The running processes, whose role is given its rights; undefined where they connect as the owner. */
  readonly runtime?: Runtime;
  /** Another one in tests. */
  readonly directory?: URL;
  /** Further migrations, after those of the directory. */
  readonly further?: readonly Migration[];
  /** How long it tries to get locks that others hold. */
  readonly patience?: LockPatience;
  /** Told of each migration that is applied. */
  readonly onApplied?: (name: string) => void;
  /** Told of each attempt of a migration to get a lock that was in vain. */
  readonly onWait?: (name: string, wait: LockWait) => void;
  /** Ends a wait for a lock with an AbortError. */
  readonly stopping?: AbortSignal | undefined;
}

/**
 * Applies the migrations that the database doesn't have yet.
 * @returns how many were applied
 * @throws OperatorError where the database's encoding isn't UTF8, a lock can't be had, or a statement fails; its migration
 * is rolled back, those before it stay
 * @throws StoreUnavailableError, pg.DatabaseError where the infrastructure is at fault
 */
export async function migrate({
  databaseUrl,
  runtime,
  directory = DIRECTORY,
  further = [],
  ...options
}: MigrateOptions): Promise<number> {
  const client = new SteadyClient({
    connectionString: databaseUrl,
    application_name: 'inlet migrate',
    connectionTimeoutMillis: 5_000,
  });
  const watch = new Database({
    url: databaseUrl,
    poolSize: 1,
    queryTimeoutMs: LOOK_TIMEOUT_MS,
    onError: () => undefined,
  });
  try {
    await client.connect().catch(unavailable);
    const database = queryableOn(client);
    await requireUtf8(database);
    const migrations = [...(await listMigrations(directory)), ...further];
    let applied = 0;
    for (const migration of migrations) {
      if (!(await applyOnce(database, watch, migration, options))) continue;
      applied += 1;
      options.onApplied?.(migration.name);
    }
    if (runtime) await applyOnce(database, watch, rightsOf(runtime), options);
    return applied;
  } finally {
    await Promise.all([client.end(), watch.close()]);
  }
}

/**
 * Makes sure that the database holds Unicode, and that its schema is at least as new as this code. (A newer one is fine:
 * migrations are written so that the version before can go on running while an upgrade is rolled out.)
 * @throws OperatorError where it doesn't, or is older
 */
export async function requireCurrentSchema(database: Queryable): Promise<void> {
  await requireUtf8(database);
  const wanted = (await listMigrations(DIRECTORY)).length;
  const found = await schemaVersion(database);
  if (found < wanted) {
    throw new OperatorError(
      `The database has schema version ${found}, and this Inlet needs ${wanted}: run "inlet migrate" first.`,
    );
  }
}

function schemaVersion(database: Queryable): Promise<number> {
  return latestVersion(database, 'inlet', 'migrations');
}

/** The version in a table of applied migrations; 0 where there is no such table. */
export async function latestVersion(database: Queryable, schema: string, table: string): Promise<number> {
  // to_regclass would not see, within a transaction, what another has made since it was asked first.
  const found = await database.query({
    text: 'SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = $2',
    values: [schema, table],
  });
  if (found.length === 0) return 0;
  const [row] = await database.query<{ version: number }>({
    text: `SELECT coalesce(max(version), 0) AS version FROM ${schema}.${table}`,
  });
  return row?.version ?? 0;
}

async function listMigrations(directory: URL): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.sql')).sort();
  return names.map((file, index) => {
    const version = Number(FILE_NAME.exec(file)?.[1]);
    if (version !== index + 1) throw new Error(`migrations/${file}: expected number ${index + 1}`);
    const name = file.slice(0, -'.sql'.length);
    return {
      name,
      isPending: async (database) => (await schemaVersion(database)) < version,
      async apply(transaction) {
        if (version === 1) await transaction.query({ text: CREATE_LEDGER });
        await transaction.query({ text: await readFile(new URL(file, directory), 'utf8') });
        await transaction.query({
          text: 'INSERT INTO inlet.migrations (version, name) VALUES ($1, $2)',
          values: [version, name],
        });
      },
    };
  });
}

/** The rights of the running processes, which are given anew each time: tables may have come. */
function rightsOf(runtime: Runtime): Migration {
  return {
    name: 'rights',
    isPending: async () => true,
    apply: (transaction) => grantRuntimeRole(transaction, runtime),
  };
}

/** @returns false where there is nothing to do, or another starter has done it meanwhile */
async function applyOnce(
  database: Queryable,
  watch: Queryable,
  migration: Migration,
  { patience = PATIENCE, onWait, stopping }: Pick<MigrateOptions, 'patience' | 'onWait' | 'stopping'>,
): Promise<boolean> {
  if (!(await migration.isPending(database))) return false;
  try {
    // For the transaction, which gets through poolers; the role's own isolation level may be another.
    const limit = `SET LOCAL lock_timeout = ${patience.waitMs}`;
    await database.query({ text: `BEGIN ISOLATION LEVEL READ COMMITTED; ${limit}` });
    const [session] = await database.query<{ pid: number }>({ text: SET_NO_LIMITS });
    const waiting = {
      ...{ what: `Migration ${migration.name}`, pid: session?.pid ?? 0, watch, stopping },
      onWait: (wait: LockWait) => onWait?.(migration.name, wait),
    };
    const forAnother = { ...waiting, ...patience, pauseMs: PAUSE_FOR_ANOTHER_STARTER_MS };
    await withLocks(database, forAnother, () =>
      database.query({ text: 'SELECT pg_advisory_xact_lock($1)', values: [LOCK_KEY] }),
    );
    const isPending = await migration.isPending(database);
    if (isPending) await withLocks(database, { ...waiting, ...patience }, () => migration.apply(database));
    await database.query({ text: 'COMMIT' });
    return isPending;
  } catch (error) {
    await database.query({ text: 'ROLLBACK' }).catch(() => undefined);
    const state = sqlState(error);
    if (state === undefined || faultKind(error) === 'infrastructure') throw error;
    const message = `Migration ${migration.name} failed: ${(error as Error).message} (${state}).`;
    throw new OperatorError(message, { cause: error });
  }
}
