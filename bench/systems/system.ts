/** A system that is measured: what takes the writes, and where they end up. */
import { fileURLToPath } from 'node:url';
import type { Child } from '../machine/children.ts';
import { freePort, startChild } from '../machine/children.ts';
import type { SharedPostgres } from '../machine/postgres.ts';
import type { SharedRedis } from '../machine/redis.ts';
import type { Store } from '../store.ts';

export const API_KEY = 'bench-key-0123456789abcdef0123456789abcdef';

/** All systems, in the order of the tables. */
export const SYSTEMS = {
  a: 'Inlet: API and worker, Redis',
  a0: 'Inlet as (a), without history',
  b: 'Inlet embedded, as npm start',
  c: 'textbook: a BullMQ job per request',
  d: 'no queue: a statement per request',
  e: 'limit: answers and drops the data',
  f: 'limit: bulk upserts without a server',
} as const;
export type SystemKey = keyof typeof SYSTEMS;

/** One that runs. */
export interface System {
  readonly key: SystemKey;
  /** Where `POST /v1/data/NAMESPACE` is; undefined for one that has no server. */
  readonly url?: string;
  /** undefined for one that stores nothing. */
  readonly store?: Store;
  /** Process ids by name. */
  readonly processes: Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

/** What systems are built on. */
export interface Machine {
  readonly postgres: SharedPostgres;
  readonly redis: SharedRedis;
  /** A folder that is thrown away at the end. */
  readonly folder: string;
  /** Where Node's CPU profiles go; undefined for none. */
  readonly profileDir: string | undefined;
  /** What Inlet logs. */
  readonly logLevel: string;
}

export interface NodeProcess {
  readonly child: Child;
  readonly url: string;
}

/**
 * Starts a program on a free port, and waits until its `/readyz` answers 200.
 * @param name of the process, for its profile
 * @param program and its arguments
 * @param env gets the port added
 * @param portVariable the name of its variable
 */
export async function startNode(
  { profileDir }: Pick<Machine, 'profileDir'>,
  name: string,
  program: readonly string[],
  env: Readonly<Record<string, string>>,
  portVariable = 'PORT',
): Promise<NodeProcess> {
  const profile = profileDir
    ? ['--cpu-prof', `--cpu-prof-dir=${profileDir}`, `--cpu-prof-name=${name}.cpuprofile`]
    : [];
  const port = String(await freePort());
  const url = `http://127.0.0.1:${port}`;
  const child = await startChild({
    command: process.execPath,
    args: [...profile, ...program],
    env: { NODE_ENV: 'production', ...env, [portVariable]: port },
    readyUrl: `${url}/readyz`,
  });
  return { child, url };
}

/** The built program of one of our own servers. */
export function serverProgram(name: string): string {
  return fileURLToPath(new URL(`../servers/${name}.js`, import.meta.url));
}

/** Ends what was started, the last first. */
export async function stopAll(steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  for (const step of steps.toReversed()) await step();
}
