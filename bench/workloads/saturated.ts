/** As much as the system takes: wrk on all connections, or, for the system without a server, a file of the same objects. */
import { join } from 'node:path';
import { runWrk } from '../load/wrk.ts';
import { writeObjectFile } from '../objects.ts';
import { API_KEY } from '../systems/system.ts';
import { writeInBulk } from './bulk.ts';
import type { Outcome } from './outcome.ts';
import { whenStored } from './outcome.ts';
import type { Task } from './workload.ts';

/** What has to be done before the time runs. */
export async function prepareSaturated(task: Task): Promise<() => Promise<Outcome>> {
  const { system, workload, writes, folder } = task;
  if (system.url !== undefined) return () => saturate(task, system.url ?? '');
  const file = join(folder, 'bulk.jsonl');
  await writeObjectFile(file, writes, workload.objects);
  return () => writeInBulk(task, file);
}

async function saturate(task: Task, url: string): Promise<Outcome> {
  const { workload, writes, folder } = task;
  const { connections, listLength, seconds, objects } = workload;
  const size = Math.max(1, listLength);
  const startedAt = Date.now();
  const wrk = await runWrk({
    ...{ url, apiKey: API_KEY, connections, listLength, seconds, writes, folder },
    mostRequests: Math.floor(objects / size),
  });
  // wrk counts what is above 399 as refused. Anything else that is no 202 shows as not stored.
  const accepted = (wrk.answered - wrk.refused) * size;
  // It hangs up at the end: of what is on its way on each connection then, it sees no answer.
  const stored = await whenStored(task, { accepted, unseen: connections * size, startedAt });
  return {
    figures: {
      acceptedPerSecond: accepted / wrk.seconds,
      answerP50Ms: wrk.p50Ms,
      answerP99Ms: wrk.p99Ms,
      ...(stored ? { storedPerSecond: stored.storedPerSecond } : {}),
    },
    loadSeconds: wrk.seconds,
    accepted,
    ...(stored ? { stored: stored.stored } : {}),
    refused: wrk.refused + wrk.broken,
  };
}
