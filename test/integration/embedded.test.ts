/** The embedded PostgreSQL in its usual life: started, used, stopped, started again. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test as plain } from 'vitest';
import { openCluster } from '../../src/store/embedded/cluster.ts';
import { completePackage } from '../../src/store/embedded/platform.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/store/embedded.ts';
import { migrate } from '../../src/store/migrate.ts';
import { isAlive, pidFile, refusal, serverPid, silent } from '../support/embedded.ts';
import { query } from '../support/postgres.ts';

// One for all tests: to create a database takes longer than everything else.
const test = plain.extend(
  'dataDir',
  { scope: 'file' }, // biome-ignore lint/correctness/noEmptyPattern: vitest wants to be told that it needs nothing
  async ({}, { onCleanup }) => {
    const dataDir = await mkdtemp(path.join(tmpdir(), 'inlet-embedded-'));
    onCleanup(() => rm(dataDir, { recursive: true, force: true }));
    return dataDir;
  },
);

async function start(dataDir: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, log: silent });
  onTestFinished(() => server.stop());
  return server;
}

test('the first start creates a database and the next finds its data again', async ({ dataDir }) => {
  const first = await start(dataDir);
  await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.stop();
  const second = await start(dataDir);
  expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
});

test('a folder that cannot be one is refused with what to do', async ({ dataDir }) => {
  const file = path.join(dataDir, 'file');
  await writeFile(file, '');
  const loop = path.join(dataDir, 'loop');
  await symlink('loop', loop);
  for (const folder of [file, path.join(file, 'below'), loop, path.join(dataDir, 'x'.repeat(300))]) {
    await expect(openCluster(folder)).rejects.toThrow(/can't use .*INLET_DATA_DIR/);
  }
});

test('the database is durable, in UTF-8, and open to its password alone', async ({ dataDir }) => {
  const { url } = await start(dataDir);
  const settings = `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
    current_setting('full_page_writes') AS pages, current_setting('data_checksums') AS checksums,
    current_setting('server_encoding') AS encoding, current_database() AS name`;
  expect(await query(url, settings)).toEqual([
    { fsync: 'on', commit: 'on', pages: 'on', checksums: 'on', encoding: 'UTF8', name: 'inlet' },
  ]);
  const wrong = new URL(url);
  wrong.password = 'wrong';
  await expect(query(wrong.href, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
});

test('a database of an earlier version, with one role alone, is used as the other from the next start on', async ({
  dataDir,
}) => {
  const before = await start(dataDir);
  await migrate({ databaseUrl: before.url });
  await query(before.url, `INSERT INTO inlet.secrets (name, value) VALUES ('kept', '1')`);
  await before.stop();
  for (let starts = 0; starts < 2; starts += 1) {
    const { url, runtimeUrl, stop } = await start(dataDir);
    await migrate({ databaseUrl: url, runtime: { url: runtimeUrl, queues: [] } });
    expect(await query(runtimeUrl, `SELECT name FROM inlet.secrets`)).toEqual([{ name: 'kept' }]);
    await expect(query(runtimeUrl, 'DROP TABLE inlet.secrets')).rejects.toMatchObject({ code: '42501' });
    await expect(query(runtimeUrl, `COPY (SELECT 1) TO PROGRAM 'cat'`)).rejects.toMatchObject({
      code: '42501',
    });
    await stop();
  }
});

test('stopping leaves no process behind, and stopping again does nothing', async ({ dataDir }) => {
  const server = await start(dataDir);
  const pid = await serverPid(dataDir);
  await Promise.all([server.stop(), server.stop()]);
  expect(isAlive(pid)).toBe(false);
  await server.stop();
  await expect(readFile(pidFile(dataDir))).rejects.toMatchObject({ code: 'ENOENT' });
});

test.skipIf(process.getuid?.() === 0)(
  'an incomplete package that cannot be written to is reported',
  async ({ dataDir }) => {
    const root = path.join(dataDir, 'package');
    await promisify(execFile)('mkdir', ['-p', path.join(root, 'native', 'lib')]);
    const links = [{ source: 'native/lib/a.so.1', target: 'native/lib/a.so' }];
    await writeFile(path.join(root, 'native', 'pg-symlinks.json'), JSON.stringify(links));
    await promisify(execFile)('chmod', ['a-w', path.join(root, 'native', 'lib')]);
    expect(await refusal(completePackage(root, []))).toContain(root);
  },
);
