/** A file system of limited size for a server's data, so that it can be filled without filling the machine's. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { runAfterDeath } from '../support/reaper.ts';

const run = promisify(execFile);

export interface SmallDisk {
  readonly folder: string;
  /** Takes up all the space that is left. */
  fill(): Promise<void>;
  /** Gives it back. */
  free(): Promise<void>;
  /** To be called when nothing uses it any more. */
  remove(): Promise<void>;
}

/**
 * Mounts one in memory.
 * @returns undefined where that isn't allowed here: it takes Linux and root
 */
export async function mountSmallDisk(megabytes: number): Promise<SmallDisk | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  const folder = await mkdtemp(path.join(tmpdir(), 'inlet-disk-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=1777`, 'inlet-test', folder]);
  } catch {
    await rmdir(folder); // in a container root may lack the right to
    return undefined;
  }
  const callOff = runAfterDeath('sleep 2; umount -l "$1"; rmdir "$1"', folder);
  const ballast = path.join(folder, 'ballast');
  return {
    folder,
    async fill() {
      const zeros = ['if=/dev/zero', `of=${ballast}`, 'bs=1M', `count=${megabytes}`, 'status=none'];
      await run('dd', zeros).catch((error: { stderr?: string }) => {
        if (!error.stderr?.includes('No space left')) throw error;
      });
    },
    async free() {
      await rm(ballast, { force: true });
    },
    async remove() {
      await run('umount', ['-l', folder]);
      await rmdir(folder);
      await callOff();
    },
  };
}
