/** Migrations beside sessions that hold locks: they step back again and again, and name who is in their way. */
import { readdirSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, inject, onTestFinished } from 'vitest';
import { queueMigration } from '../../src/queue/postgres.ts';
import { runMigrations } from '../../src/runtime.ts';
import { describeWait } from '../../src/store/lock-wait.ts';
import type { MigrateOptions } from '../../src/store/migrate.ts';
import { migrate } from '../../src/store/migrate.ts';
import { SteadyClient } from '../../src/store/steady-client.ts';
import { emptyDatabase } from '../support/databases.ts';
import { freshDatabase, inletTest } from '../support/fixtures.ts';
import { testConfig } from '../support/inlet.ts';
import { keptLog } from '../support/log.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest();

const MIGRATIONS = new URL('../../migrations/', import.meta.url);
const NEXT = String(readdirSync(MIGRATIONS).length + 1).padStart(4, '0');

/** The migrations, and one more. */
async function withAnother(sql: string): Promise<URL> {
  const folder = await mkdtemp(join(tmpdir(), 'inlet-migrations-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await cp(fileURLToPath(MIGRATIONS), folder, { recursive: true });
  await writeFile(join(folder, `${NEXT}_another.sql`), sql);
  return pathToFileURL(`${folder}/`);
}

/** A transaction that stays open, as that of pg_dump does for as long as it takes. */
async function openTransaction(url: string, sql: string) {
  const client = new SteadyClient({ connectionString: url, application_name: 'a dump' });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query(`BEGIN; ${sql}`);
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return { pid: rows[0]?.pid, end: () => client.end() };
}

/** Runs migrations, and keeps what they say of locks. */
function start(options: MigrateOptions) {
  const said: string[] = [];
  const stopping = new AbortController();
  const done = migrate({
    patience: { waitMs: 1_500, pauseMs: 300, giveUpMs: 60_000 },
    onWait: (name, wait) => said.push(`${name}: ${describeWait(wait)}`),
    stopping: stopping.signal,
    ...options,
  });
  done.catch(() => undefined);
  const says = () => waitFor('it to say what it waits for', () => said[0]);
  return { done, said, says, stop: () => stopping.abort() };
}

test('a migration behind a long transaction lets reads and writes pass, names it, and is applied after it', async ({
  databaseUrl,
  inlet,
}) => {
  const directory = await withAnother('ALTER TABLE inlet.objects ADD COLUMN another integer');
  await inlet.done('dump', await inlet.write('dump', '{"data":{"id":"before"}}'));
  const dump = await openTransaction(databaseUrl, 'LOCK TABLE inlet.objects IN ACCESS SHARE MODE');
  const migration = start({ databaseUrl, directory });
  expect(await migration.says()).toMatch(
    new RegExp(
      `^${NEXT}_another: inlet.objects is held by pid ${dump.pid} \\(a dump, transaction open for \\d+ s\\)$`,
    ),
  );
  for (let n = 0; n < 3; n += 1) {
    const requestId = await inlet.write('dump', `{"data":{"id":"${n}"}}`);
    await waitFor('it to be stored', async () => (await inlet.object('dump', `${n}`)) !== undefined, 4_000);
    expect((await inlet.done('dump', requestId)).status).toBe('succeeded');
  }
  await dump.end();
  expect(await migration.done).toBe(1);
  const added = await query(
    databaseUrl,
    `SELECT 1 FROM information_schema.columns WHERE column_name = 'another' AND table_schema = 'inlet'`,
  );
  expect(added).toHaveLength(1);
});

test('gives up after a while, and says who is in the way and what to do', async () => {
  const databaseUrl = await freshDatabase();
  const directory = await withAnother('ALTER TABLE inlet.requests ADD COLUMN another integer');
  const dump = await openTransaction(databaseUrl, 'LOCK TABLE inlet.requests IN ACCESS SHARE MODE');
  const { done } = start({ databaseUrl, directory, patience: { waitMs: 1_500, pauseMs: 0, giveUpMs: 0 } });
  await expect(done).rejects.toMatchObject({
    name: 'OperatorError',
    message: expect.stringMatching(
      new RegExp(
        `^Migration ${NEXT}_another did not get a lock.*inlet.requests is held by pid ${dump.pid}.*pg_terminate_backend`,
      ),
    ),
  });
});

test("the queue's tables have the same patience, and no lock is taken where nothing is pending", async () => {
  const databaseUrl = await freshDatabase();
  const dump = await openTransaction(databaseUrl, 'LOCK TABLE inlet_queue.migration IN ACCESS SHARE MODE');
  expect(await migrate({ databaseUrl, further: [queueMigration] })).toBe(0);
  await query(databaseUrl, 'DELETE FROM inlet_queue.migration WHERE version > 1');
  const migration = start({ databaseUrl, further: [queueMigration] });
  expect(await migration.says()).toContain(`inlet_queue.migration is held by pid ${dump.pid}`);
  migration.stop();
  await expect(migration.done).rejects.toThrow('aborted');
});

test('a second starter says that it waits for the first, can be stopped, and gives up with the remedy', async () => {
  const databaseUrl = await freshDatabase();
  const directory = await withAnother('SELECT 1');
  const first = await openTransaction(databaseUrl, `SELECT pg_advisory_xact_lock(${0x696e6c6574})`);
  const second = start({ databaseUrl, directory, patience: { waitMs: 2_000, pauseMs: 0, giveUpMs: 60_000 } });
  expect(await second.says()).toContain(`the advisory lock is held by pid ${first.pid}`);
  second.stop();
  await expect(second.done).rejects.toThrow('aborted');
  const third = start({ databaseUrl, directory, patience: { waitMs: 2_000, pauseMs: 0, giveUpMs: 0 } });
  await expect(third.done).rejects.toThrow(`SELECT pg_terminate_backend(${first.pid})`);
  await first.end();
  expect(await migrate({ databaseUrl, directory })).toBe(1);
});

test('what a role has set of isolation and timeouts does not hold for migrations', async () => {
  const databaseUrl = await emptyDatabase();
  const { pathname } = new URL(databaseUrl);
  for (const setting of [`default_transaction_isolation = 'serializable'`, 'statement_timeout = 300']) {
    await query(inject('postgresUrl'), `ALTER DATABASE ${pathname.slice(1)} SET ${setting}`);
  }
  const config = testConfig({ databaseUrl });
  const { log } = keptLog();
  const applied = await Promise.all([1, 2, 3].map(() => runMigrations(config, log)));
  const [count] = await query(databaseUrl, 'SELECT count(*)::integer AS count FROM inlet.migrations');
  expect(applied.reduce((sum, each) => sum + each, 0)).toBe(Number(count?.['count']) + 1);
  expect(await migrate({ databaseUrl, directory: await withAnother('SELECT pg_sleep(0.5)') })).toBe(1);
});

test('a statement that fails gets one line, and changes nothing', async () => {
  const databaseUrl = await freshDatabase();
  const directory = await withAnother('CREATE TABLE inlet.another (); SELECT 1/0');
  await expect(migrate({ databaseUrl, directory })).rejects.toMatchObject({
    name: 'OperatorError',
    message: `Migration ${NEXT}_another failed: division by zero (22012).`,
  });
  expect(await query(databaseUrl, `SELECT to_regclass('inlet.another') AS there`)).toEqual([{ there: null }]);
});
