/** Child processes: started, listened to, and ended by their own process id. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
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
  /** Whether a line of its output says that it is ready. */
  readonly ready?: (line: string) => boolean;
  /** What answers with 200 when it is ready, where its output doesn't say so. */
  readonly readyUrl?: string;
}

/**
 * Starts a process and waits until it is ready.
 * @throws Error with the end of its output where it ends or takes too long
 */
export async function startChild(options: ChildOptions): Promise<Child> {
  const process = spawn(options.command, options.args, {
    env: { ...baseEnvironment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(process, 'exit');
  const child: Child = { pid: process.pid ?? 0, stop: () => stop(process, exited) };
  try {
    await isReady(process, exited, options);
    return child;
  } catch (error) {
    await child.stop();
    throw error;
  }
}

/** Runs a command to its end. @returns its output @throws Error with its output where it fails */
export async function runCommand(options: Pick<ChildOptions, 'command' | 'args' | 'env'>): Promise<string> {
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

async function isReady(
  process: ChildProcess,
  exited: Promise<unknown>,
  options: ChildOptions,
): Promise<void> {
  const lines: string[] = [];
  const over = new AbortController();
  const ready = new Promise<void>((resolve) => {
    for (const stream of [process.stdout, process.stderr]) {
      const reader = createInterface(stream as Readable);
      reader.on('line', (line) => {
        lines.push(line);
        if (lines.length > 50) lines.shift();
        if (options.ready?.(line)) resolve();
      });
      // From then on it is taken in and not looked at: a line for each request would take the load's CPU.
      over.signal.addEventListener('abort', () => {
        reader.close();
        stream?.resume();
      });
    }
    if (options.readyUrl) void answers(options.readyUrl, over.signal).then(resolve);
  });
  const failed = Promise.race([exited, delay(START_TIMEOUT_MS, undefined, { ref: false })]).then(
    (): never => {
      throw new Error(`${options.command} ${options.args.join(' ')} did not start:\n${lines.join('\n')}`);
    },
  );
  // Once it is ready nobody is left to hear that it has ended.
  failed.catch(() => undefined);
  return Promise.race([ready, failed]).finally(() => over.abort());
}

/** Asks until the answer is a good one. */
async function answers(url: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return;
    await delay(50);
  }
}

async function stop(process: ChildProcess, exited: Promise<unknown>): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  process.kill('SIGTERM');
  const timer = setTimeout(() => process.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}
