/** A file with an object on each line: uploaded as an import, or written in bulk by the system without a server. */
import { join } from 'node:path';
import { runProgram } from '../load/program.ts';
import type { UploadOptions, UploadResult } from '../load/upload.ts';
import { writeObjectFile } from '../objects.ts';
import { NAMESPACE } from '../store.ts';
import { API_KEY } from '../systems/system.ts';
import { writeInBulk } from './bulk.ts';
import type { Outcome } from './outcome.ts';
import { whenStored } from './outcome.ts';
import type { Task } from './workload.ts';

/** What has to be done before the time runs. */
export async function prepareImport(task: Task): Promise<() => Promise<Outcome>> {
  const { system, workload, writes, folder } = task;
  const file = join(folder, 'import.jsonl');
  await writeObjectFile(file, writes, workload.objects);
  if (system.url === undefined) return () => writeInBulk(task, file);
  const url = await askForUploadUrl(system.url);
  return () => upload(task, { url, file });
}

async function upload(task: Task, options: UploadOptions): Promise<Outcome> {
  const { objects } = task.workload;
  const { startedAt, seconds, status } = await runProgram<UploadOptions, UploadResult>('upload', options);
  if (status !== 200) throw new Error(`the upload was answered with ${status}`);
  const stored = await whenStored(task, { accepted: objects, unseen: 0, startedAt });
  return {
    figures: {
      acceptedPerSecond: objects / seconds,
      ...(stored ? { storedPerSecond: stored.storedPerSecond } : {}),
    },
    loadSeconds: seconds,
    accepted: objects,
    ...(stored ? { stored: stored.stored } : {}),
    refused: 0,
  };
}

/** Makes an import. @returns where its file goes */
export async function askForUploadUrl(apiUrl: string): Promise<string> {
  const asked = await fetch(`${apiUrl}/v1/data/${NAMESPACE}/requests/upload-url`, {
    method: 'POST',
    headers: { authorization: `Bearer ${API_KEY}` },
  });
  if (!asked.ok) throw new Error(`no upload URL: ${asked.status} ${await asked.text()}`);
  const { upload_url: url } = (await asked.json()) as { upload_url: string };
  return url;
}
