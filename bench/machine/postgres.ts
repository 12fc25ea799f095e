/** The PostgreSQL that the systems share, with a database for each: the embedded one, as `npm start` has it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/store/embedded.ts';
import { createLog } from '../../src/telemetry.ts';

export interface SharedPostgres {
  readonly pid: number;
  /** Makes an empty database. @returns its URL */
  createDatabase(name: string): Promise<string>;
  stop(): Promise<void>;
}

/** @param folder where its data goes */
export async function startPostgres(folder: string): Promise<SharedPostgres> {
  const options = { dataDir: folder, log: createLog('warn') };
  const first = await startEmbeddedPostgres(options);
  await noteCommitTimes(first.url);
  await first.stop();
  const { url, stop } = await startEmbeddedPostgres(options);
  return {
    pid: await postmasterPid(folder),
    stop,
    async createDatabase(name) {
      await runSql(url, `CREATE DATABASE ${name}`);
      return Object.assign(new URL(url), { pathname: `/${name}` }).href;
    },
  };
}

/**
 * Has Postgres remember, from its next start on, when each transaction was committed. So it can be told afterwards
 * when each row was stored, and nothing has to ask while the load runs. It costs a few bytes of memory a transaction.
 */
export async function noteCommitTimes(url: string): Promise<void> {
  await runSql(url, 'ALTER SYSTEM SET track_commit_timestamp = on');
}

/** The first line of postmaster.pid, which PostgreSQL keeps in its data directory. */
export async function postmasterPid(folder: string): Promise<number> {
  return Number.parseInt(await readFile(join(folder, 'postgres', 'data', 'postmaster.pid'), 'utf8'), 10);
}

/** Runs statements over a connection of their own. */
export async function runSql(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
