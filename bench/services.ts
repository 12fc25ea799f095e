/** What Inlet needs around it, thrown away afterwards: PostgreSQL, Redis, and Inlet's own processes. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startEmbeddedPostgres } from '../src/store/embedded.ts';
import { createLog } from '../src/telemetry.ts';
import type { Child } from './children.ts';
import { freePort, runCommand, startChild } from './children.ts';

/** The build of `npm run build`; this file runs from bench/dist/bench. */
const CLI = fileURLToPath(new URL('../../../dist/cli.js', import.meta.url));

const API_KEY = 'bench-key';

/** Where the queue lives and how Inlet's roles are spread over processes. */
export type Layout = 'redis' | 'postgres' | 'serve';

/** Inlet running with everything it needs. */
export interface Deployment {
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly databaseUrl: string;
  /** Process ids by what they are, for counting their CPU time. */
  readonly pids: Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

export interface DeployOptions {
  /** Where Node's CPU profiles of Inlet's processes go; undefined for none. */
  readonly profileDir?: string | undefined;
  readonly logLevel?: string;
}

/** Starts a layout on free ports of 127.0.0.1 with an empty database. */
export async function deploy(
  layout: Layout,
  { profileDir, logLevel = 'info' }: DeployOptions = {},
): Promise<Deployment> {
  const cleanup: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of cleanup.splice(0).reverse()) await step();
  };
  try {
    const folder = await mkdtemp(join(tmpdir(), 'inlet-bench-'));
    cleanup.push(() => rm(folder, { recursive: true, force: true }));

    const postgres = await startEmbeddedPostgres({ dataDir: folder, log: createLog('warn') });
    cleanup.push(() => postgres.stop());
    const pids: Record<string, number> = { postgres: await postmasterPid(folder) };

    const env: Record<string, string> = {
      DATABASE_URL: postgres.url,
      INLET_API_KEYS: API_KEY,
      INLET_DATA_DIR: folder,
      LOG_LEVEL: logLevel,
    };
    if (layout === 'redis') {
      const redis = await startRedis(folder);
      cleanup.push(() => redis.child.stop());
      pids['redis'] = redis.child.pid;
      env['REDIS_URL'] = redis.url;
    }

    const start = async (role: string): Promise<string> => {
      const profile = profileDir
        ? ['--cpu-prof', `--cpu-prof-dir=${join(profileDir, `${layout}-${role}`)}`]
        : [];
      const port = String(await freePort());
      const url = `http://127.0.0.1:${port}`;
      const child = await startChild({
        command: process.execPath,
        args: [...profile, CLI, role],
        env: { ...env, PORT: port, INLET_WORKER_PORT: port },
        readyUrl: `${url}/readyz`,
      });
      cleanup.push(() => child.stop());
      pids[role] = child.pid;
      return url;
    };
    if (layout === 'serve') return { ...connection(await start('serve'), postgres.url), pids, stop };
    await runCommand({ command: process.execPath, args: [CLI, 'migrate'], env });
    await start('worker');
    return { ...connection(await start('api'), postgres.url), pids, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function connection(apiUrl: string, databaseUrl: string) {
  return { apiUrl, databaseUrl, apiKey: API_KEY };
}

/** Redis as the documentation asks for it: an acknowledged write is on disk. */
async function startRedis(folder: string): Promise<{ child: Child; url: string }> {
  const dir = join(folder, 'redis');
  await mkdir(dir);
  const port = await freePort();
  const settings = {
    port: String(port),
    bind: '127.0.0.1',
    dir,
    appendonly: 'yes',
    appendfsync: 'always',
    save: '',
    'maxmemory-policy': 'noeviction',
  };
  const child = await startChild({
    command: 'redis-server',
    args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    ready: (line) => /ready to accept connections/i.test(line),
  });
  return { child, url: `redis://127.0.0.1:${port}` };
}

/** The first line of postmaster.pid, which PostgreSQL keeps in its data directory. */
async function postmasterPid(folder: string): Promise<number> {
  return Number.parseInt(await readFile(join(folder, 'postgres', 'data', 'postmaster.pid'), 'utf8'), 10);
}
