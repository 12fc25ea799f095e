import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OperatorError } from '../../src/errors.ts';
import { completePackage, findPlatform } from '../../src/store/embedded/platform.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/store/embedded.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const fixture = new URL('../support/embedded-owner.mjs', import.meta.url).pathname;
const silent = { info() {}, warn() {} };

let dataDir: string;
let servers: EmbeddedPostgres[];
let owners: ChildProcess[];

beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'inlet-embedded-'));
  servers = [];
  owners = [];
});

afterEach(async () => {
  for (const server of servers) await server.stop();
  for (const owner of owners) await killHard(owner);
  // What a killed owner left running is ended by its process id, which must be a server's on this very folder.
  const pid = await serverPid().catch(() => undefined);
  if (pid !== undefined && (await isServerHere(pid))) {
    process.kill(pid, 'SIGQUIT');
    await waitFor('the left server to end', () => !isAlive(pid));
  }
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
});

async function start(log = silent): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, log });
  servers.push(server);
  return server;
}

/** Starts a server in a process of its own, in its own process group. */
async function startOwner(): Promise<{ owner: ChildProcess; url?: string; refused?: string }> {
  const owner = spawn(process.execPath, [fixture, dataDir], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  owners.push(owner);
  if (owner.stdout === null) throw new Error('stdout is a pipe');
  const failed = once(owner, 'close').then(() => Promise.reject(new Error('the owner ended without a word')));
  const [line] = await Promise.race([once(createInterface(owner.stdout), 'line'), failed]);
  failed.catch(() => {}); // it may end when it has spoken
  return { owner, ...JSON.parse(line) };
}

async function killHard(owner: ChildProcess): Promise<void> {
  if (owner.exitCode !== null || owner.signalCode !== null) return;
  const exited = once(owner, 'exit');
  owner.kill('SIGKILL');
  await exited;
}

const pidFile = () => path.join(dataDir, 'postgres', 'data', 'postmaster.pid');

async function serverPid(): Promise<number> {
  return Number((await readFile(pidFile(), 'utf8')).split('\n')[0]);
}

async function isServerHere(pid: number): Promise<boolean> {
  if (process.platform !== 'linux') return isAlive(pid);
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(dataDir);
}

/** Whether the process runs; one that has ended and that init has yet to collect (state Z) doesn't. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function refusal(attempt: Promise<unknown>): Promise<string> {
  const error = await attempt.then(
    () => new Error('it was not refused'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(OperatorError);
  return (error as OperatorError).message;
}

test('the first start creates a database and the next finds its data again', async () => {
  const first = await start();
  await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  await first.stop();
  const second = await start();
  expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
});

test('the database is durable, in UTF-8, and open to its password alone', async () => {
  const { url } = await start();
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

test('stopping leaves no process behind, and stopping again does nothing', async () => {
  const server = await start();
  const pid = await serverPid();
  await Promise.all([server.stop(), server.stop()]);
  expect(isAlive(pid)).toBe(false);
  await server.stop();
  await expect(readFile(pidFile())).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a second starter is refused with a line that names the folder and the holder, who keeps working', async () => {
  const { owner, url = '' } = await startOwner();
  const begin = Date.now();
  const message = await refusal(startEmbeddedPostgres({ dataDir, log: silent }));
  expect(Date.now() - begin).toBeLessThan(5_000);
  expect(message).toContain(path.join(dataDir, 'postgres'));
  expect(message).toContain(`process ${owner.pid}`);
  expect(message).not.toContain('\n');
  expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('of two that start at once on an empty folder one runs and the other is refused', async () => {
  const both = await Promise.all([startOwner(), startOwner()]);
  const running = both.filter(({ url }) => url !== undefined);
  expect(running).toHaveLength(1);
  expect(both.find(({ refused }) => refused !== undefined)?.refused).toContain('in use');
  expect(await query(running[0]?.url ?? '', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  expect((await readdir(dataDir)).toSorted()).toEqual(['postgres']);
});

test('after the owner was killed the next start ends the server it left and has its data', async () => {
  const { owner, url = '' } = await startOwner();
  await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  const left = await serverPid();
  await killHard(owner);
  expect(isAlive(left)).toBe(true);
  const next = await start();
  expect(isAlive(left)).toBe(false);
  expect(await query(next.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
});

test('a start after a power loss is not misled by a process id that is now another program', async () => {
  const { owner, url = '' } = await startOwner();
  await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  const pid = await serverPid();
  process.kill(owner.pid ?? 0, 'SIGSTOP'); // or it would bring the server back
  process.kill(pid, 'SIGKILL');
  await killHard(owner);
  await waitFor('the server to be gone', () => !isAlive(pid));
  const lines = (await readFile(pidFile(), 'utf8')).split('\n');
  await writeFile(pidFile(), [`${process.pid}`, ...lines.slice(1)].join('\n'));
  const next = await start();
  expect(await query(next.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
});

test('a start killed in the middle of initdb is made good by the next', async () => {
  const owner = spawn(process.execPath, [fixture, dataDir], { stdio: 'ignore' });
  owners.push(owner);
  await waitFor('initdb to be at work', async () => {
    const [unfinished] = (await readdir(dataDir)).filter((name) => name.startsWith('postgres.new-'));
    return (
      unfinished !== undefined && (await readdir(path.join(dataDir, unfinished, 'data'))).includes('base')
    );
  });
  await killHard(owner);
  expect(await readdir(dataDir)).not.toContain('postgres');
  const next = await start();
  expect(await query(next.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  expect(await readdir(dataDir)).toEqual(['postgres']);
});

test('a killed server comes back on the same port, and still belongs to its owner', async () => {
  const { url } = await start();
  await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  const killed = await serverPid();
  process.kill(killed, 'SIGKILL');
  const rows = await waitFor('the server to be back', () => query(url, 'SELECT answer FROM kept'));
  expect(rows).toEqual([{ answer: 42 }]);
  expect(await serverPid()).not.toBe(killed);
  await waitFor('the lock to be taken again', async () => {
    const locks = await query(url, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2");
    return locks.length > 0;
  });
  expect(await refusal(startEmbeddedPostgres({ dataDir, log: silent }))).toContain('in use');
});

test('after the crash of one backend the server goes on and still belongs to its owner', async () => {
  const { url } = await start();
  const pid = await serverPid();
  const [backend] = await query(
    url,
    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'inlet owner%'",
  );
  process.kill(Number(backend?.['pid']), 'SIGKILL');
  await waitFor('the lock to be taken again', async () => {
    const holders = await query(url, "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2");
    return holders.some((holder) => holder['pid'] !== backend?.['pid']);
  });
  expect(await serverPid()).toBe(pid);
});

test('stopping also ends a server that was brought back', async () => {
  const server = await start();
  process.kill(await serverPid(), 'SIGKILL');
  await waitFor('the server to be back', () => query(server.url, 'SELECT 1'));
  const pid = await serverPid();
  await server.stop();
  expect(isAlive(pid)).toBe(false);
});

test('Ctrl-C, which signals the whole process group, does not end the server', async () => {
  const { owner, url = '' } = await startOwner();
  const pid = await serverPid();
  process.kill(-(owner.pid ?? 0), 'SIGINT');
  await expect(query(url, 'SELECT pg_sleep(0.5)')).resolves.toHaveLength(1);
  expect(isAlive(pid)).toBe(true);
});

test('a folder written by another major version is refused', async () => {
  const server = await start();
  await server.stop();
  await writeFile(path.join(dataDir, 'postgres', 'data', 'PG_VERSION'), '17\n');
  expect(await refusal(start())).toMatch(/written by PostgreSQL 17, and this Inlet brings PostgreSQL 18/);
});

test('a start that fails tells the end of the log', async () => {
  const server = await start();
  await server.stop();
  await rm(path.join(dataDir, 'postgres', 'data', 'global', 'pg_control'));
  expect(await refusal(start())).toMatch(/didn't start on .*pg_control/);
});

test('links and executable bits that npm did not set are set', async () => {
  const installed = await findPlatform();
  const copy = path.join(dataDir, 'package');
  await cp(installed.root, copy, { recursive: true, verbatimSymlinks: true });
  const postgres = path.join(copy, path.relative(installed.root, installed.postgres));
  const links: { target: string }[] = JSON.parse(
    await readFile(path.join(copy, 'native', 'pg-symlinks.json'), 'utf8'),
  );
  expect(links).not.toHaveLength(0);
  await Promise.all(links.map(({ target }) => rm(path.join(copy, target))));
  await promisify(execFile)('chmod', ['a-x', postgres]);
  await expect(promisify(execFile)(postgres, ['--version'])).rejects.toThrow();
  await Promise.all([completePackage(copy, [postgres]), completePackage(copy, [postgres])]);
  expect((await promisify(execFile)(postgres, ['--version'])).stdout).toContain('PostgreSQL');
});

test.skipIf(process.getuid?.() === 0)(
  'an incomplete package that cannot be written to is reported',
  async () => {
    await promisify(execFile)('mkdir', ['-p', path.join(dataDir, 'native', 'lib')]);
    const links = [{ source: 'native/lib/a.so.1', target: 'native/lib/a.so' }];
    await writeFile(path.join(dataDir, 'native', 'pg-symlinks.json'), JSON.stringify(links));
    await promisify(execFile)('chmod', ['a-w', path.join(dataDir, 'native', 'lib')]);
    expect(await refusal(completePackage(dataDir, []))).toContain(dataDir);
  },
);
