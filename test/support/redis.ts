// Redis for tests, set up as Inlet demands: nothing acknowledged is lost.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { reapAfterDeath } from './reaper.ts';
import { waitFor } from './wait-for.ts';

const program = process.env['REDIS_SERVER'] ?? 'redis-server';

export interface TestRedis {
  /** The same after every `start()`. */
  url: string;
  port: number;
  /** Another one after every `start()`. */
  readonly pid: number;
  /** The folder of its data. */
  readonly data: string;
  /** Sends a signal. Returns when the process is gone, except after SIGSTOP and SIGCONT. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /**
   * Starts it again after `kill`, on the same port and data, and waits until it answers.
   * @param args as those of `startRedis`, over which they win
   */
  start(args?: readonly string[]): Promise<void>;
  /** Ends it and removes its data. May be called again, and after `kill`. */
  stop(): Promise<void>;
}

/** Whether `redis-server`, or what REDIS_SERVER names, can be run here. */
export async function hasRedis(): Promise<boolean> {
  try {
    await promisify(execFile)(program, ['--version']);
    return true;
  } catch {
    return false; // whatever is wrong with it; the caller says what to do
  }
}

/**
 * Starts a throwaway Redis on a free port and waits until it answers.
 *
 * @param options.appendfsync `always` unless told
 * @param options.args further arguments, like `['--maxmemory', '8mb']`
 * @param options.environment what it finds in its environment beside that of this process
 */
export async function startRedis(
  options: {
    appendfsync?: 'always' | 'everysec' | 'no';
    args?: string[];
    environment?: Readonly<Record<string, string>>;
  } = {},
): Promise<TestRedis> {
  const folder = await mkdtemp(path.join(tmpdir(), 'inlet-redis-'));
  const data = path.join(folder, 'data');
  await mkdir(data);
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  const place = ['--bind', '127.0.0.1', '--port', `${port}`, '--dir', data, '--logfile', '../redis.log'];
  const durable = ['--appendonly', 'yes', '--appendfsync', options.appendfsync ?? 'always', '--save', ''];
  const rest = ['--maxmemory-policy', 'noeviction', '--daemonize', 'no', ...(options.args ?? [])];
  let child: ChildProcess;
  let callOff = async () => {};

  async function start(args: readonly string[] = []): Promise<void> {
    // A session of its own, so that Ctrl-C reaches the tests alone and they end it in order.
    const env = { ...process.env, ...options.environment };
    child = spawn(program, [...place, ...durable, ...rest, ...args], {
      detached: true,
      stdio: 'ignore',
      env,
    });
    await once(child, 'spawn');
    callOff = reapAfterDeath(pid(), 'KILL', folder);
    await waitFor('Redis to answer', () => {
      if (!isRunning()) throw new Error(`redis-server ended with ${child.exitCode}`);
      return answers(url);
    });
  }

  const isRunning = () => child.exitCode === null && child.signalCode === null;
  const pid = () => child.pid ?? 0;

  async function kill(signal: NodeJS.Signals): Promise<void> {
    if (!isRunning()) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
    await exited;
    await callOff();
  }

  await start();
  return {
    url,
    port,
    data,
    get pid() {
      return pid();
    },
    kill,
    start,
    async stop() {
      await kill('SIGKILL'); // also ends one that was stopped by SIGSTOP; the data is thrown away anyway
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, connectTimeout: 2_000 });
  client.on('error', () => {}); // `connect` and `ping` reject with the same
  try {
    await client.connect();
    return (await client.ping()) === 'PONG';
  } finally {
    client.disconnect();
  }
}
