/** The API key that `inlet serve` makes for itself where there is none, so that a first start needs no setting. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createApiKey } from './domain/api-key.ts';
import { makeFolder } from './make-folder.ts';

export interface LocalKey {
  readonly key: string;
  readonly path: string;
  /** Keeps a key that was made just now, once it can be shown; undefined where it is kept already. */
  readonly keep: (() => Promise<void>) | undefined;
}

/**
 * Reads the key that is kept under `dataDir`, or makes one that only the owner can read.
 * @param isWanted asked before one is made: whether there is no other key
 */
export async function localKey(
  dataDir: string,
  isWanted: () => Promise<boolean>,
): Promise<LocalKey | undefined> {
  const path = join(dataDir, 'api-key');
  const kept = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (kept?.trim()) return { key: kept.trim(), path, keep: undefined };
  if (!(await isWanted())) return undefined;
  const key = createApiKey();
  const keep = async (): Promise<void> => {
    await makeFolder(dataDir);
    await writeFile(path, `${key}\n`, { mode: 0o600 });
  };
  return { key, path, keep };
}
