/** What disasters do to the data of a server. It must not run then. */
import { execFile } from 'node:child_process';
import { readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

interface Server {
  /** A folder within one that is removed with the server. */
  readonly data: string;
}

/** Empties the folder. */
export async function emptiedFolder({ data }: Server): Promise<void> {
  for (const name of await readdir(data)) await rm(path.join(data, name), { recursive: true });
}

/** Copies the folder. @returns puts the copy in place of it */
export async function copyOfFolder({ data }: Server): Promise<() => Promise<void>> {
  const copy = `${data}-copy`;
  // With its owners: Postgres may run as another user.
  await promisify(execFile)('cp', ['-a', data, copy]);
  return async () => {
    await rm(data, { recursive: true });
    await rename(copy, data);
  };
}
