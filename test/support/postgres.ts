// PostgreSQL for tests: one server for the whole suite with a database for each test file, or a server of one's own.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { inject } from 'vitest';
import { OWNER, openCluster } from '../../src/store/embedded/cluster.ts';
import {
  freePort,
  type StartedPostmaster,
  shutDown,
  startPostmaster,
} from '../../src/store/embedded/postmaster.ts';
import { SteadyClient } from '../../src/store/steady-client.ts';
import { reapAfterDeath } from './reaper.ts';
import { waitFor } from './wait-for.ts';

/** The database that every test database is a copy of; global setup creates it and applies the migrations. */
export const TEMPLATE = 'inlet_template';

export interface TestPostgres {
  /** Connects as superuser to the database `postgres`; the same after every `start()`. */
  url: string;
  port: number;
  /** Of the server's main process; another one after every `start()`. */
  readonly pid: number;
  /** The folder of its data. */
  readonly data: string;
  /** Sends a signal. Returns when the process is gone, except after SIGSTOP and SIGCONT. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** Whether its main process is there; it may end by itself, for example when its disk is full. */
  isRunning(): Promise<boolean>;
  /** Starts it again after `kill`, on the same port and data, and waits until it answers. */
  start(): Promise<void>;
  /** Ends it and removes its data. May be called again, and after `kill`. */
  stop(): Promise<void>;
}

/**
 * Starts a throwaway server on an empty cluster and waits until it answers.
 *
 * @param options.fsync true for tests that kill it and count what is left: by default it trades durability for speed
 * @param options.settings further settings of PostgreSQL
 * @param options.parent where its folder is made; the system's folder for temporary files unless told
 * @param options.environment what it finds in its environment beside what it always has
 */
export async function startPostgres(
  options: {
    fsync?: boolean;
    settings?: Record<string, string>;
    parent?: string;
    environment?: Readonly<Record<string, string>>;
  } = {},
): Promise<TestPostgres> {
  const unsafe = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' };
  const settings = { max_connections: '200', ...(options.fsync ? {} : unsafe), ...options.settings };
  const folder = await mkdtemp(path.join(options.parent ?? tmpdir(), 'inlet-postgres-'));
  const opened = await openCluster(folder, { sync: false });
  const { environment = {} } = options;
  const cluster = { ...opened, postgres: await withEnvironment(opened.postgres, folder, environment) };
  const port = await freePort();
  const url = `postgres://${OWNER}:${cluster.password}@127.0.0.1:${port}/postgres`;
  let server: StartedPostmaster;
  let callOff = async () => {};

  async function spawnServer(): Promise<void> {
    await callOff();
    server = await startPostmaster(cluster, port, settings);
    callOff = reapAfterDeath(server.pid, 'QUIT', folder);
  }

  async function start(): Promise<void> {
    await spawnServer();
    await waitFor('PostgreSQL to answer', async () => {
      if (!(await server.isRunning())) {
        await delay(200); // the last backends of a killed server keep a new one from starting
        await spawnServer();
      }
      return (await query(url, 'SELECT 1')).length === 1;
    });
  }

  await start();
  return {
    url,
    port,
    data: cluster.data,
    get pid() {
      return server.pid;
    },
    async kill(signal) {
      process.kill(server.pid, signal);
      if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
      await server.exited;
      await callOff();
    },
    isRunning: () => server.isRunning(),
    start,
    async stop() {
      await shutDown(server);
      await callOff();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A program that is another one with more in its environment. */
async function withEnvironment(
  program: string,
  folder: string,
  environment: Readonly<Record<string, string>>,
): Promise<string> {
  if (Object.keys(environment).length === 0) return program;
  const file = path.join(folder, 'with-environment');
  const exports = Object.entries(environment).map(([name, value]) => `export ${name}='${value}'`);
  await writeFile(file, ['#!/bin/sh', ...exports, `exec '${program}' "$@"`, ''].join('\n'), { mode: 0o755 });
  return file;
}

export interface TestDatabase {
  url: string;
  /** Drops it. @throws Error where somebody is connected to it still, and doesn't leave within seconds */
  drop(): Promise<void>;
}

/** Makes a fresh database, with all migrations applied, on the suite's server: one for each test file, or test. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const server = inject('postgresUrl');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await query(server, `CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
  return {
    url: databaseUrl(server, name),
    drop: () => dropDatabase(server, name),
  };
}

async function dropDatabase(server: string, name: string): Promise<void> {
  try {
    // PostgreSQL waits up to 5 s for others to leave.
    await query(server, `DROP DATABASE IF EXISTS ${name}`);
  } catch (error) {
    const connected = await query(
      server,
      `SELECT application_name, state, left(query, 100) AS query FROM pg_stat_activity WHERE datname = '${name}'`,
    );
    await query(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    throw new Error(`connections were left open: ${JSON.stringify(connected)}`, { cause: error });
  }
}

/** The URL of another database on the same server. */
export function databaseUrl(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

/** Runs one statement over a connection of its own. */
export async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  // The server may be killed between two messages, when nobody waits for anything of this connection.
  const client = new SteadyClient({ connectionString: url, connectionTimeoutMillis: 5_000 });
  try {
    await client.connect();
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** The id of a database's queue. */
export async function queueIdOf(url: string): Promise<string> {
  const [row] = await query(url, 'SELECT id FROM inlet.queue');
  return String(row?.['id']);
}
