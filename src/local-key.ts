/** The API key that `inlet serve` makes for itself where none is set, so that a first start needs no setting. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface LocalKey {
  readonly key: string;
  readonly path: string;
  /** Keeps a key that was made just now, once it can be shown; undefined where it is kept already. */
  readonly keep: (() => Promise<void>) | undefined;
}

/** Reads the key kept under `dataDir`, or makes one: `sk_` and 256 random bits, readable by the owner only. */
export async function localKey(dataDir: string): Promise<LocalKey> {
  const path = join(dataDir, 'api-key');
  const kept = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (kept?.trim()) return { key: kept.trim(), path, keep: undefined };
  const key = `sk_${randomBytes(32).toString('base64url')}`;
  const keep = async (): Promise<void> => {
    await mkdir(dataDir, { recursive: true });
    await writeFile(path, `${key}\n`, { mode: 0o600 });
  };
  return { key, path, keep };
}
