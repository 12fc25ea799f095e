/** One request at a time on an idle server. */
import type { OneByOneOptions, OneByOneResult } from '../load/one-by-one.ts';
import { runProgram } from '../load/program.ts';
import type { Writes } from '../objects.ts';
import { NAMESPACE } from '../store.ts';
import type { System } from '../systems/system.ts';
import { API_KEY } from '../systems/system.ts';
import type { Outcome } from './outcome.ts';
import { whenStored } from './outcome.ts';
import type { Task } from './workload.ts';

export async function prepareOneByOne(task: Task): Promise<() => Promise<Outcome>> {
  return () => oneByOne(task);
}

async function oneByOne(task: Task): Promise<Outcome> {
  const { system, workload, writes } = task;
  const startedAt = Date.now();
  const { accepted, ...figures } = await sendOneByOne(system, writes, workload.objects);
  const loadSeconds = (Date.now() - startedAt) / 1_000;
  const stored = await whenStored(task, { accepted, unseen: 0, startedAt });
  return {
    figures,
    loadSeconds,
    accepted,
    ...(stored ? { stored: stored.stored } : {}),
    refused: workload.objects - accepted,
  };
}

/** Sends so many requests, each when the one before is stored. */
export function sendOneByOne(
  { key, store, url }: System,
  writes: Writes,
  requests: number,
): Promise<OneByOneResult> {
  if (!store || url === undefined) throw new Error(`(${key}) can't be asked one by one`);
  return runProgram<OneByOneOptions, OneByOneResult>('one-by-one', {
    ...{ url: `${url}/v1/data/${NAMESPACE}`, apiKey: API_KEY, namespace: NAMESPACE, writes, requests },
    ...{ databaseUrl: store.url, table: store.table },
  });
}
