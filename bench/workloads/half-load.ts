/** Half of what the system takes, at a rate that doesn't depend on it: how long answers take, and how long until an object is stored. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PacedOptions, PacedResult } from '../load/paced.ts';
import { runProgram } from '../load/program.ts';
import { quantile } from '../statistics.ts';
import { NAMESPACE } from '../store.ts';
import { API_KEY } from '../systems/system.ts';
import type { Outcome } from './outcome.ts';
import { whenStored } from './outcome.ts';
import type { Task } from './workload.ts';

export async function prepareHalfLoad(task: Task): Promise<() => Promise<Outcome>> {
  return () => halfLoad(task);
}

async function halfLoad(task: Task): Promise<Outcome> {
  const { system, workload, writes, folder, rate } = task;
  const answersFile = join(folder, 'answers.bin');
  const startedAt = Date.now();
  const paced = await runProgram<PacedOptions, PacedResult>('paced', {
    ...{ url: `${system.url}/v1/data/${NAMESPACE}`, apiKey: API_KEY, writes, answersFile, rate },
    ...{ connections: workload.connections, seconds: workload.seconds },
  });
  const { accepted, sent } = paced;
  const stored = await whenStored(task, { accepted, unseen: sent - accepted, startedAt });
  return {
    figures: {
      ratePerSecond: rate,
      acceptedPerSecond: accepted / paced.seconds,
      answerP50Ms: paced.p50Ms,
      answerP99Ms: paced.p99Ms,
      lagP99Ms: paced.lagP99Ms,
      ...(stored
        ? { storedPerSecond: stored.storedPerSecond, ...(await storeTimes(task, answersFile)) }
        : {}),
    },
    loadSeconds: paced.seconds,
    accepted,
    ...(stored ? { stored: stored.stored } : {}),
    refused: sent - accepted,
  };
}

/** From each answer to the commit of its object. Both are told by the clock of this machine. */
async function storeTimes({ system, writes }: Task, answersFile: string) {
  const commits = await system.store?.commitTimes(writes.firstN);
  const bytes = await readFile(answersFile);
  const answers = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
  const times = answers
    .map((answered, i) => (commits?.get(i) ?? Number.NaN) - answered)
    .filter((time) => !Number.isNaN(time))
    .sort();
  return { storedP50Ms: quantile(times, 0.5), storedP99Ms: quantile(times, 0.99) };
}
