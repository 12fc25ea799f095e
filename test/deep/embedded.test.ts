/** The embedded PostgreSQL when it, its owner or its folder comes to harm, and when two want to have it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { completePackage, findPlatform } from '../../src/store/embedded/platform.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/store/embedded.ts';
import { isAlive, pidFile, refusal, serverPid, silent } from '../support/embedded.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const owningProgram = new URL('../support/embedded-owner.mjs', import.meta.url).pathname;

/** A folder that goes, with the server that is left in it, when everything else of the test has ended. */
async function dataFolder(): Promise<string> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'inlet-embedded-'));
  onTestFinished(async () => {
    await endLeftServer(dataDir);
    await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
  });
  return dataDir;
}

/** What a killed owner left running is ended by its process id, which must be a server's on this very folder. */
async function endLeftServer(dataDir: string): Promise<void> {
  const pid = await serverPid(dataDir).catch(() => undefined);
  if (pid === undefined || !(await isServerHere(dataDir, pid))) return;
  process.kill(pid, 'SIGQUIT');
  await waitFor('the left server to end', () => !isAlive(pid));
}

async function isServerHere(dataDir: string, pid: number): Promise<boolean> {
  if (process.platform !== 'linux') return isAlive(pid);
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).includes(dataDir);
}

async function start(dataDir: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, log: silent });
  onTestFinished(() => server.stop());
  return server;
}

/** Starts a process that starts a server, in a process group of its own. */
function spawnOwner(dataDir: string, stdout: 'pipe' | 'ignore'): ChildProcess {
  const owner = spawn(process.execPath, [owningProgram, dataDir], {
    detached: true,
    stdio: ['ignore', stdout, 'inherit'],
  });
  onTestFinished(() => killHard(owner));
  return owner;
}

/** Starts a server in a process of its own. */
async function startOwner(dataDir: string): Promise<{ owner: ChildProcess; url?: string; refused?: string }> {
  const owner = spawnOwner(dataDir, 'pipe');
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

test('a second starter is refused with a line that names the folder and the holder, who keeps working', async () => {
  const dataDir = await dataFolder();
  const { owner, url = '' } = await startOwner(dataDir);
  const begin = Date.now();
  const message = await refusal(startEmbeddedPostgres({ dataDir, log: silent }));
  expect(Date.now() - begin).toBeLessThan(5_000);
  expect(message).toContain(path.join(dataDir, 'postgres'));
  expect(message).toContain(`process ${owner.pid}`);
  expect(message).not.toContain('\n');
  expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('of two that start at once on an empty folder one runs and the other is refused', async () => {
  const dataDir = await dataFolder();
  const both = await Promise.all([startOwner(dataDir), startOwner(dataDir)]);
  const running = both.filter(({ url }) => url !== undefined);
  expect(running).toHaveLength(1);
  expect(both.find(({ refused }) => refused !== undefined)?.refused).toContain('in use');
  expect(await query(running[0]?.url ?? '', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  expect((await readdir(dataDir)).toSorted()).toEqual(['postgres']);
});

test('after the owner was killed the next start ends the server it left and has its data', async () => {
  const dataDir = await dataFolder();
  const { owner, url = '' } = await startOwner(dataDir);
  await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  const left = await serverPid(dataDir);
  await killHard(owner);
  expect(isAlive(left)).toBe(true);
  const next = await start(dataDir);
  expect(isAlive(left)).toBe(false);
  expect(await query(next.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
});

test('a start after a power loss is not misled by a process id that is now another program', async () => {
  const dataDir = await dataFolder();
  const { owner, url = '' } = await startOwner(dataDir);
  await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  const pid = await serverPid(dataDir);
  process.kill(owner.pid ?? 0, 'SIGSTOP'); // or it would bring the server back
  process.kill(pid, 'SIGKILL');
  await killHard(owner);
  await waitFor('the server to be gone', () => !isAlive(pid));
  const lines = (await readFile(pidFile(dataDir), 'utf8')).split('\n');
  await writeFile(pidFile(dataDir), [`${process.pid}`, ...lines.slice(1)].join('\n'));
  const next = await start(dataDir);
  expect(await query(next.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
});

test('a start killed in the middle of initdb is made good by the next', async () => {
  const dataDir = await dataFolder();
  const owner = spawnOwner(dataDir, 'ignore');
  await waitFor('initdb to be at work', async () => {
    const [unfinished] = (await readdir(dataDir)).filter((name) => name.startsWith('postgres.new-'));
    return (
      unfinished !== undefined && (await readdir(path.join(dataDir, unfinished, 'data'))).includes('base')
    );
  });
  await killHard(owner);
  expect(await readdir(dataDir)).not.toContain('postgres');
  const next = await start(dataDir);
  expect(await query(next.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  expect(await readdir(dataDir)).toEqual(['postgres']);
});

test('a killed server comes back on the same port, and still belongs to its owner', async () => {
  const dataDir = await dataFolder();
  const { url } = await start(dataDir);
  await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer');
  const killed = await serverPid(dataDir);
  process.kill(killed, 'SIGKILL');
  const rows = await waitFor('the server to be back', () => query(url, 'SELECT answer FROM kept'));
  expect(rows).toEqual([{ answer: 42 }]);
  expect(await serverPid(dataDir)).not.toBe(killed);
  await waitFor('the lock to be taken again', async () => {
    const locks = await query(url, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2");
    return locks.length > 0;
  });
  expect(await refusal(startEmbeddedPostgres({ dataDir, log: silent }))).toContain('in use');
});

test('after the crash of one backend the server goes on and still belongs to its owner', async () => {
  const dataDir = await dataFolder();
  const { url } = await start(dataDir);
  const pid = await serverPid(dataDir);
  const [backend] = await query(
    url,
    "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'inlet owner%'",
  );
  process.kill(Number(backend?.['pid']), 'SIGKILL');
  await waitFor('the lock to be taken again', async () => {
    const holders = await query(url, "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2");
    return holders.some((holder) => holder['pid'] !== backend?.['pid']);
  });
  expect(await serverPid(dataDir)).toBe(pid);
});

test('stopping also ends a server that was brought back', async () => {
  const dataDir = await dataFolder();
  const server = await start(dataDir);
  process.kill(await serverPid(dataDir), 'SIGKILL');
  await waitFor('the server to be back', () => query(server.url, 'SELECT 1'));
  const pid = await serverPid(dataDir);
  await server.stop();
  expect(isAlive(pid)).toBe(false);
});

test('Ctrl-C, which signals the whole process group, does not end the server', async () => {
  const dataDir = await dataFolder();
  const { owner, url = '' } = await startOwner(dataDir);
  const pid = await serverPid(dataDir);
  process.kill(-(owner.pid ?? 0), 'SIGINT');
  await expect(query(url, 'SELECT pg_sleep(0.5)')).resolves.toHaveLength(1);
  expect(isAlive(pid)).toBe(true);
});

test('a folder written by another major version is refused', async () => {
  const dataDir = await dataFolder();
  const server = await start(dataDir);
  await server.stop();
  await writeFile(path.join(dataDir, 'postgres', 'data', 'PG_VERSION'), '17\n');
  expect(await refusal(start(dataDir))).toMatch(
    /written by PostgreSQL 17, and this Inlet brings PostgreSQL 18/,
  );
});

test('a start that fails tells the end of the log', async () => {
  const dataDir = await dataFolder();
  const server = await start(dataDir);
  await server.stop();
  await rm(path.join(dataDir, 'postgres', 'data', 'global', 'pg_control'));
  expect(await refusal(start(dataDir))).toMatch(/didn't start on .*pg_control/);
});

test('links and executable bits that npm did not set are set', async () => {
  const dataDir = await dataFolder();
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
