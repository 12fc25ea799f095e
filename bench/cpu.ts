/**
 * CPU time of processes, out of Linux's /proc. What a request costs in CPU says more than its rate where the
 * machine has other work to do at the same time.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** The kernel counts in units of 1/100 s for user space, whatever its own clock is (USER_HZ, proc(5)). */
const TICKS_PER_SECOND = 100;

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
  readonly ticksOfReaped: number;
}

/**
 * CPU seconds that a process and its descendants have used, those that have ended included.
 * @returns undefined where the system has no /proc
 */
export function cpuSeconds(root: number): number | undefined {
  const all = readAll();
  const stat = all?.get(root);
  if (!all || !stat) return undefined;
  const children = [...all.values()].filter(({ parent }) => parent === root);
  const ofChildren = children.reduce((sum, { pid }) => sum + (cpuSeconds(pid) ?? 0), 0);
  return (stat.ticks + stat.ticksOfReaped) / TICKS_PER_SECOND + ofChildren;
}

function readAll(): Map<number, Stat> | undefined {
  try {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    return new Map(pids.flatMap((pid) => readStat(pid)).map((stat) => [stat.pid, stat]));
  } catch {
    // Not Linux: then the table goes without.
    return undefined;
  }
}

function readStat(pid: string): Stat[] {
  try {
    // The second field is the command in brackets, which may hold anything.
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const [parent = 0, user = 0, system = 0] = [fields[1], fields[11], fields[12]];
    const [reapedUser = 0, reapedSystem = 0] = [fields[13], fields[14]];
    return [{ pid: Number(pid), parent, ticks: user + system, ticksOfReaped: reapedUser + reapedSystem }];
  } catch {
    // It ended between the listing and the reading.
    return [];
  }
}
