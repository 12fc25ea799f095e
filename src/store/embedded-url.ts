/** Finds the embedded Postgres of an Inlet that runs, for commands that want to have a word with it. */
import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { OWNER } from './embedded/cluster.ts';
import { findPostmaster } from './embedded/postmaster.ts';

/**
 * The URL of the embedded Postgres that runs on this data directory; undefined where none does.
 * @throws where it runs and its password may not be read
 */
export async function findEmbeddedUrl(dataDir: string): Promise<string | undefined> {
  const home = await realpath(join(dataDir, 'postgres')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  const postmaster = home === undefined ? undefined : await findPostmaster(join(home, 'data'));
  if (home === undefined || !postmaster) return undefined;
  const password = (await readFile(join(home, 'password'), 'utf8')).trim();
  return `postgres://${OWNER}:${password}@127.0.0.1:${postmaster.port}/inlet`;
}
