/** A worker in this process that says on a port of its own how it is, as `inlet worker` does. */
import type { WorkerParts } from '../../src/roles/worker.ts';
import { startWorker } from '../../src/roles/worker.ts';
import type { RuntimeConfig } from '../../src/runtime.ts';
import { keptLog } from './log.ts';

export interface WorkerWithPort {
  /** Of its port. */
  readonly url: string;
  close(): Promise<void>;
}

export async function startWorkerWithPort(
  config: RuntimeConfig,
  { kept = keptLog(), parts }: { kept?: ReturnType<typeof keptLog>; parts?: WorkerParts } = {},
): Promise<WorkerWithPort> {
  const before = kept.lines.length;
  const worker = await startWorker(config, kept.log, 0, undefined, parts);
  const url = kept.lines.slice(before).find((line) => line['url'] !== undefined)?.['url'];
  return { url: String(url), close: () => worker.close() };
}
