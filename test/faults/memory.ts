/** How much memory processes take up, from /proc. */
import { readFile } from 'node:fs/promises';
import { childrenOf } from './signal-postgres.ts';

/** Resident memory of a process, in mebibytes. */
export async function residentMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1_024;
}

/** Of a server of Postgres: what its processes share counts once. In mebibytes. */
export async function postgresMib(pid: number): Promise<number> {
  const shares = await Promise.all(
    [pid, ...(await childrenOf(pid))].map(async (each) => {
      // One that has ended meanwhile takes up none.
      const rollup = await readFile(`/proc/${each}/smaps_rollup`, 'utf8').catch(() => '');
      return Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0) / 1_024;
    }),
  );
  return shares.reduce((sum, share) => sum + share, 0);
}
