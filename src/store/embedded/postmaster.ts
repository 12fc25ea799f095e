// The server's main process: found, started, and ended.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from './cluster.ts';
import { isOneOf } from './platform.ts';
import { serverArguments } from './settings.ts';

/** A running server, started by this process or found. */
export interface Postmaster {
  pid: number;
  port: number;
  /** Whether the process is there; a dead one that nobody has waited for counts as gone. */
  isRunning(): Promise<boolean>;
}

/** A server started by this process. */
export interface StartedPostmaster extends Postmaster {
  /** Resolves when the process has ended; with it all of its children have. */
  exited: Promise<void>;
  /** What it wrote into its log since it was started. */
  messages(): Promise<string[]>;
}

const LOG_LIMIT = 1024 * 1024;

/**
 * Starts the server on `port`, in a session of its own: Ctrl-C in a terminal signals the whole process group, and
 * would end the server under the worker that still has jobs to store. Returns without waiting until it answers.
 */
export async function startPostmaster(
  cluster: Cluster,
  port: number,
  overrides?: Record<string, string>,
): Promise<StartedPostmaster> {
  await keepLogSmall(cluster.logFile);
  const log = await open(cluster.logFile, 'a', 0o600);
  await cluster.runner.give(cluster.logFile);
  const start = (await log.stat()).size;
  const child = cluster.runner.spawn(cluster.postgres, serverArguments(cluster.data, port, overrides), {
    cwd: path.parse(cluster.home).root, // the server changes into its data directory by itself
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  });
  try {
    await once(child, 'spawn');
  } finally {
    await log.close();
  }
  child.unref();
  return {
    pid: child.pid ?? 0,
    port,
    isRunning: async () => !hasExited(child),
    exited: hasExited(child) ? Promise.resolve() : once(child, 'exit').then(() => undefined),
    messages: async () => (await readFile(cluster.logFile)).subarray(start).toString().trim().split('\n'),
  };
}

function hasExited(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

async function keepLogSmall(file: string): Promise<void> {
  try {
    if ((await stat(file)).size > LOG_LIMIT) await rename(file, `${file}.1`);
  } catch (error) {
    if (!isOneOf(error, ['ENOENT'])) throw error;
  }
}

/** A TCP port that was free on 127.0.0.1 just now; somebody may take it before it is used. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port');
  return address.port;
}

/**
 * The server that runs on this data directory, whoever started it.
 *
 * Its postmaster.pid outlives a power loss or `kill -9`, and the process id in it may by now be another program's:
 * then PostgreSQL believes that program to be a server and refuses to start, in a container at every start. So the
 * file is removed where the process is there and is not a server on this directory. Where it isn't there at
 * all, PostgreSQL copes by itself. It also knows a server that runs without the file, by its shared memory.
 */
export async function findPostmaster(data: string): Promise<Postmaster | undefined> {
  const file = path.join(data, 'postmaster.pid');
  // It is created and then filled: an empty one is either being written or was cut short by a power loss.
  const content = (await readIfThere(file)) || (await delay(200).then(() => readIfThere(file)));
  if (content === undefined) return undefined;
  // One line each: process id, data directory, start time, port, … (src/include/utils/pidfile.h of PostgreSQL)
  const lines = content.split('\n');
  const pid = Math.abs(Number(lines[0]));
  if (pid > 0 && !isAlive(pid)) return undefined;
  if (pid > 0 && (await isServerOn(data, pid))) {
    return { pid, port: Number(lines[3]), isRunning: () => isServerOn(data, pid) };
  }
  await rm(file, { force: true });
  return undefined;
}

/**
 * Whether process `pid` is a server on this directory, judged by its command line. It can be told for sure only
 * if that names another directory by its whole path; a server started by hand may name none.
 */
async function isServerOn(data: string, pid: number): Promise<boolean> {
  if (process.platform !== 'linux') return isAlive(pid);
  const words = (await readIfThere(`/proc/${pid}/cmdline`))?.split('\0') ?? [];
  if (!['postgres', 'postmaster'].includes(path.basename(words[0] ?? ''))) return false;
  const named = words[words.indexOf('-D') + 1];
  if (!words.includes('-D') || named === undefined || !path.isAbsolute(named)) return true;
  return named === data;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (isOneOf(error, ['ENOENT', 'ESRCH'])) return undefined;
    throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !isOneOf(error, ['ESRCH']);
  }
}

/** What a signal asks of PostgreSQL, and how long it gets, in milliseconds, before the next. */
const STEPS: [NodeJS.Signals, number][] = [
  ['SIGINT', 20_000], // fast: break off transactions, write everything, leave
  ['SIGQUIT', 10_000], // immediate: leave, and recover from the log at the next start
  ['SIGKILL', 10_000],
];

/**
 * Ends the server and returns when it is gone: ordinarily in well under a second.
 *
 * @throws Error when it is still there after 40 s, which only a process stuck in the kernel is
 */
export async function shutDown(postmaster: Postmaster): Promise<void> {
  for (const [signal, patience] of STEPS) {
    try {
      if (await postmaster.isRunning()) process.kill(postmaster.pid, signal);
    } catch (error) {
      if (!isOneOf(error, ['ESRCH'])) throw error;
    }
    for (const end = Date.now() + patience; Date.now() < end; await delay(10)) {
      if (!(await postmaster.isRunning())) return;
    }
  }
  throw new Error(`PostgreSQL (process ${postmaster.pid}) can't be ended`);
}
