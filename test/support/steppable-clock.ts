/** A wall clock of a server's own, that a test can step. */
import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const SOURCE = new URL('steppable-clock.c', import.meta.url).pathname;

/** Whether such clocks can be made. In CI they have to be. */
export const canStepClocks = process.env['CI'] === 'true' || spawnSync('cc', ['--version']).status === 0;

export interface SteppableClock {
  /** What a server needs in its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Sets how far it is ahead, or behind, in milliseconds. */
  step(ms: number): Promise<void>;
  remove(): Promise<void>;
}

/** Makes a clock. Needs a C compiler. @throws Error where there is none */
export async function steppableClock(): Promise<SteppableClock> {
  const folder = await mkdtemp(path.join(tmpdir(), 'inlet-clock-'));
  // The embedded Postgres may run as another user.
  await chmod(folder, 0o755);
  const library = path.join(folder, 'clock.so');
  const offset = path.join(folder, 'offset');
  const step = async (ms: number): Promise<void> => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(Math.round(ms * 1_000)));
    // In place: the file is mapped.
    await writeFile(offset, bytes, { flag: 'r+', mode: 0o644 });
  };
  await writeFile(offset, Buffer.alloc(8), { mode: 0o644 });
  await promisify(execFile)('cc', ['-O2', '-shared', '-fPIC', '-o', library, SOURCE, '-ldl']);
  return {
    environment: { LD_PRELOAD: library, STEPPABLE_CLOCK: offset },
    step,
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
