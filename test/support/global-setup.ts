// Starts what the suite shares, before the first test, and ends it after the last.
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { queueMigration } from '../../src/queue/postgres.ts';
import { migrate } from '../../src/store/migrate.ts';
import { databaseUrl, query, queueIdOf, startPostgres, TEMPLATE } from './postgres.ts';
import { hasRedis, startRedis } from './redis.ts';
import { waitFor } from './wait-for.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The suite's PostgreSQL, as superuser; tests use `createTestDatabase()`. */
    postgresUrl: string;
    /** The suite's Redis, or null where there is none; tests keep apart by the prefix of their keys. */
    redisUrl: string | null;
    /** The id of the queue that every test database has as its own. */
    queueId: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const started: { stop(): Promise<void> }[] = [];
  const folder = await ownFolder();
  const teardown = async () => {
    await Promise.all(started.map((service) => service.stop()));
    await requireNothingLeft(folder);
  };
  try {
    const postgres = await startPostgres();
    started.push(postgres);
    await query(postgres.url, `CREATE DATABASE ${TEMPLATE}`);
    const template = databaseUrl(postgres.url, TEMPLATE);
    await migrate({ databaseUrl: template, further: [queueMigration] });
    project.provide('queueId', await queueIdOf(template));
    project.provide('postgresUrl', postgres.url);
    const redis = (await redisWanted()) ? await startRedis() : undefined;
    if (redis !== undefined) started.push(redis);
    project.provide('redisUrl', redis?.url ?? null);
    return teardown;
  } catch (error) {
    await teardown(); // vitest calls it only if it was returned
    throw error;
  }
}

/** A developer may do without Redis and is told so; in CI a missing Redis would leave half of the promises untested. */
async function redisWanted(): Promise<boolean> {
  if (await hasRedis()) return true;
  const how = 'install it (Debian, Ubuntu: apt-get install redis-server), or set REDIS_SERVER to the program';
  if (process.env['CI']) throw new Error(`redis-server was not found: ${how}`);
  process.stderr.write(
    `\n!!! redis-server was not found: the tests with Redis are SKIPPED. To run them, ${how}.\n\n`,
  );
  return false;
}

/**
 * A folder for everything that this run makes in the folder for temporary files, so that it is seen what is left there.
 * Processes are started with it in their environment, by which those that outlive the run are found.
 */
async function ownFolder(): Promise<string> {
  // Beside that of another project of the same run, and not within it: which of them is closed first is vitest's affair.
  process.env['INLET_TESTS_TMPDIR'] ??= tmpdir();
  const folder = await mkdtemp(path.join(process.env['INLET_TESTS_TMPDIR'], 'inlet-tests-'));
  await chmod(folder, 0o755); // PostgreSQL doesn't run as root
  process.env['TMPDIR'] = folder;
  return folder;
}

/** @throws Error where tests have left a folder, a file or a process behind */
async function requireNothingLeft(folder: string): Promise<void> {
  const files = await readdir(folder);
  const processes = await waitFor('processes of tests to end', async () => {
    const found = await processesOf(folder);
    return found.length === 0 ? found : undefined;
  }).catch(() => processesOf(folder));
  for (const { pid } of processes) killHard(pid);
  await rm(folder, { recursive: true, force: true });
  if (files.length + processes.length === 0) return;
  process.exitCode = 1; // vitest only prints what a teardown throws
  const left = [...files, ...processes.map(({ pid, command }) => `${pid} ${command}`)];
  throw new Error(`tests have left behind: ${left.join(', ')}`);
}

function killHard(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}

/** Processes that have the folder in their environment or their arguments; on Linux only. */
async function processesOf(folder: string): Promise<{ pid: number; command: string }[]> {
  const pids = process.platform === 'linux' ? await readdir('/proc') : [];
  const found = pids.map(async (pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return [];
    const read = (name: string) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
    const command = await read('cmdline');
    const isOurs = command.includes(folder) || (await read('environ')).includes(folder);
    return isOurs ? [{ pid: Number(pid), command: command.replaceAll('\0', ' ').slice(0, 200) }] : [];
  });
  return (await Promise.all(found)).flat();
}
