/** Signals to a whole server of Postgres, which is a process for each connection, each in a session of its own. */
import { readdir, readFile } from 'node:fs/promises';

/**
 * Stops all of its processes, or lets them go on.
 * @param pid that of the process that makes the others
 */
export async function signalPostgres(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
  // That one first, so that no more come, and at the end last.
  if (signal === 'SIGSTOP') process.kill(pid, signal);
  for (const child of await childrenOf(pid)) {
    try {
      process.kill(child, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  if (signal === 'SIGCONT') process.kill(pid, signal);
}

/** The processes that a process has started. */
export async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = await Promise.all(
    pids.map(async (pid) => {
      // One that has ended meanwhile has no parent any more.
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    }),
  );
  return pids.filter((_, i) => parents[i] === parent);
}
