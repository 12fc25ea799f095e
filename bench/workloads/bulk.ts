/** (f) at work. */
import type { BulkOptions, BulkResult } from '../load/bulk-writer.ts';
import { runProgram } from '../load/program.ts';
import type { ObjectKind } from '../objects.ts';
import { NAMESPACE } from '../store.ts';
import type { Outcome } from './outcome.ts';
import { whenStored } from './outcome.ts';
import type { Task } from './workload.ts';

/** What takes least CPU; see docs/performance.md. As many connections as Inlet's worker has. */
const BEST: Readonly<Record<ObjectKind, Pick<BulkOptions, 'batch' | 'connections' | 'statement'>>> = {
  profile: { batch: 1_000, connections: 4, statement: 'elements' },
  document: { batch: 200, connections: 4, statement: 'elements' },
};

/** Writes a file's objects in bulk. @throws StoreMismatchError */
export async function writeInBulk(task: Task, file: string): Promise<Outcome> {
  const { system, workload } = task;
  const { startedAt, seconds, cpuSeconds, peakMb } = await runProgram<BulkOptions, BulkResult>(
    'bulk-writer',
    {
      ...{ databaseUrl: system.store?.url ?? '', namespace: NAMESPACE, file },
      ...BEST[workload.object],
    },
  );
  const stored = await whenStored(task, { accepted: workload.objects, unseen: 0, startedAt });
  return {
    figures: stored ? { storedPerSecond: stored.storedPerSecond } : {},
    loadSeconds: seconds,
    accepted: workload.objects,
    ...(stored ? { stored: stored.stored } : {}),
    refused: 0,
    usage: { writer: { cpuSeconds, peakMb } },
  };
}
