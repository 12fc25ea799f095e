/** One request at a time while a file is imported: the file must not hold them up. */
import { join } from 'node:path';
import { runProgram } from '../load/program.ts';
import type { UploadOptions, UploadResult } from '../load/upload.ts';
import { writeObjectFile } from '../objects.ts';
import { askForUploadUrl } from './import.ts';
import { sendOneByOne } from './one-by-one.ts';
import type { Outcome } from './outcome.ts';
import { whenStored } from './outcome.ts';
import type { Task } from './workload.ts';

/** Few enough to be over before the file is. */
const REQUESTS = 200;

export async function prepareDuringImport(task: Task): Promise<() => Promise<Outcome>> {
  const { system, workload, writes, folder } = task;
  const file = join(folder, 'import.jsonl');
  await writeObjectFile(file, writes, workload.objects);
  const url = await askForUploadUrl(system.url ?? '');
  return () => duringImport(task, { url, file });
}

async function duringImport(task: Task, options: UploadOptions): Promise<Outcome> {
  const { system, workload, writes } = task;
  const startedAt = Date.now();
  let uploading = true;
  const upload = runProgram<UploadOptions, UploadResult>('upload', options).finally(() => {
    uploading = false;
  });
  const after = { firstKey: writes.firstKey + workload.objects, firstN: writes.firstN + workload.objects };
  const { accepted, ...figures } = await sendOneByOne(system, { ...writes, ...after }, REQUESTS);
  if (!uploading) throw new Error('the upload was over before the single requests were');
  const { seconds, status } = await upload;
  if (status !== 200) throw new Error(`the upload was answered with ${status}`);
  const all = workload.objects + accepted;
  const stored = await whenStored(task, { accepted: all, unseen: 0, startedAt });
  return {
    figures,
    loadSeconds: seconds,
    accepted: all,
    ...(stored ? { stored: stored.stored } : {}),
    refused: REQUESTS - accepted,
  };
}
