/** What a run of faults is told by the environment, and where it says what it did. */
import { appendFileSync } from 'node:fs';
import type { QueueName } from './world.ts';

export interface RunOptions {
  /** How long to go on with new rounds; both queues are at it at the same time. 0: one round. */
  readonly minutes: number;
  /** Of the first round; the next one has the next. */
  readonly seed: number;
  /** What the names of faults have to match; undefined: all of them are drawn. */
  readonly only: RegExp | undefined;
  /** Of the soak. */
  readonly queue: QueueName;
}

export function runOptions(environment: NodeJS.ProcessEnv): RunOptions {
  const {
    FAULTS_MINUTES: minutes = '0',
    FAULTS_SEED: seed,
    FAULTS_QUEUE: queue = 'redis',
    FAULTS_ONLY: only,
  } = environment;
  if (queue !== 'redis' && queue !== 'postgres') throw new Error(`there is no queue "${queue}"`);
  return {
    minutes: Number(minutes),
    seed: seed ? Number(seed) : Date.now() % 1_000_000_000,
    queue,
    only: only ? new RegExp(only) : undefined,
  };
}

/** Says a line, and writes it to the file that FAULTS_LOG names. */
export function report(line: string): void {
  process.stdout.write(`${line}\n`);
  const file = process.env['FAULTS_LOG'];
  if (file) appendFileSync(file, `${line}\n`);
}
