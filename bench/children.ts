/** Child processes: started, listened to, and ended by their own process id. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

/** How long a process may take to start, and to stop before it is killed, in milliseconds. */
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;

export interface Child {
  readonly pid: number;
  /** Ends the process with SIGTERM (SIGKILL where that isn't enough) and resolves when it is gone. */
  stop(): Promise<void>;
}

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Reads a line of its output; returns what was waited for, once that is in it. */
  readonly ready: (line: string) => string | undefined;
}

/**
 * Starts a process and waits until a line of its output says that it is ready.
 * @returns the process and what `ready` found
 * @throws Error with the end of its output where it ends or takes too long
 */
export async function startChild(options: ChildOptions): Promise<{ child: Child; found: string }> {
  const process = spawn(options.command, options.args, {
    env: { ...baseEnvironment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(process, 'exit');
  const child: Child = { pid: process.pid ?? 0, stop: () => stop(process, exited) };
  try {
    return { child, found: await firstMatch(process, exited, options) };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

/** Runs a command to its end. @returns its output @throws Error with its output where it fails */
export async function runCommand(options: Omit<ChildOptions, 'ready'>): Promise<string> {
  const process = spawn(options.command, options.args, {
    env: { ...baseEnvironment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
    });
  }
  const [code] = (await once(process, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${options.command} failed:\n${output}`);
  return output;
}

/** Finds a port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (typeof address !== 'object' || !address) throw new Error('no free port');
  return address.port;
}

/** Settings of Inlet that happen to be set where the bench runs must not change what is measured. */
function baseEnvironment(): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env;
  return { PATH, HOME };
}

async function firstMatch(
  process: ChildProcess,
  exited: Promise<unknown>,
  options: ChildOptions,
): Promise<string> {
  const lines: string[] = [];
  const match = new Promise<string>((resolve) => {
    for (const stream of [process.stdout, process.stderr]) {
      if (!stream) continue;
      createInterface(stream).on('line', (line) => {
        lines.push(line);
        if (lines.length > 50) lines.shift();
        const found = options.ready(line);
        if (found !== undefined) resolve(found);
      });
    }
  });
  const failed = Promise.race([exited, delay(START_TIMEOUT_MS, undefined, { ref: false })]).then(
    (): never => {
      throw new Error(`${options.command} ${options.args.join(' ')} did not start:\n${lines.join('\n')}`);
    },
  );
  // Once it is ready nobody is left to hear that it has ended.
  failed.catch(() => undefined);
  return Promise.race([match, failed]);
}

async function stop(process: ChildProcess, exited: Promise<unknown>): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  process.kill('SIGTERM');
  const timer = setTimeout(() => process.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}
