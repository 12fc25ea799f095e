/** The load that saturates: wrk, which sends the next request on a connection as soon as the last was answered. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../machine/children.ts';
import type { Writes } from '../objects.ts';
import { restOf } from '../objects.ts';
import { NAMESPACE } from '../store.ts';
import { resultOf } from './program.ts';

/** This file runs from bench/dist/bench/load. */
const SCRIPT = fileURLToPath(new URL('../../../load/post.lua', import.meta.url));

export interface WrkOptions {
  readonly url: string;
  readonly apiKey: string;
  readonly connections: number;
  /** Objects in a list; 0 for one object without a list. */
  readonly listLength: number;
  /** The longest time of the load. */
  readonly seconds: number;
  /** The load ends when so many requests were made; 0: with its time. */
  readonly mostRequests: number;
  readonly writes: Writes;
  /** Where a file may be left. */
  readonly folder: string;
}

export interface WrkResult {
  /** The time of the load. */
  readonly seconds: number;
  /** Answers of any kind. */
  readonly answered: number;
  /** Answers above 399. */
  readonly refused: number;
  /** Connections that broke, and requests without an answer for ten seconds. */
  readonly broken: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Runs wrk to its end. With one thread: more would take CPU from what is measured, and it has room (see the docs). */
export async function runWrk(options: WrkOptions): Promise<WrkResult> {
  const { url, apiKey, connections, listLength, seconds, mostRequests, writes, folder } = options;
  const rest = join(folder, `${writes.kind}.txt`);
  await writeFile(rest, restOf(writes.kind));
  const output = await runCommand({
    command: 'wrk',
    args: [
      ...['--threads', '1', '--connections', String(connections), '--duration', `${seconds}s`],
      ...['--timeout', '10s', '--script', SCRIPT, `${url}/v1/data/${NAMESPACE}`, '--'],
      ...[rest, listLength, apiKey, writes.firstKey, writes.firstN, mostRequests].map(String),
    ],
  });
  return resultOf(output);
}
