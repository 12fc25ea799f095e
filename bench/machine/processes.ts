/**
 * What processes use of the machine, out of Linux's /proc. What an object costs in CPU says more than a rate where
 * the machine has other work to do at the same time.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** The kernel counts in units of 1/100 s for user space, whatever its own clock is (USER_HZ, proc(5)). */
const TICKS_PER_SECOND = 100;

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
  readonly ticksOfReaped: number;
}

/**
 * CPU seconds that processes have used since they were started, each with its descendants, those included that have
 * ended; but not those that are listed by themselves.
 * @param roots process ids by name
 */
export function cpuSeconds(roots: Readonly<Record<string, number>>): Record<string, number> {
  const all = readAll();
  const listed = new Set(Object.values(roots));
  const ticksOf = (pid: number): number => {
    const stat = all.get(pid);
    if (!stat) return Number.NaN;
    const children = [...all.values()].filter(
      ({ parent, pid: child }) => parent === pid && !listed.has(child),
    );
    return children.reduce((sum, child) => sum + ticksOf(child.pid), stat.ticks + stat.ticksOfReaped);
  };
  return Object.fromEntries(
    Object.entries(roots).map(([name, pid]) => [name, ticksOf(pid) / TICKS_PER_SECOND]),
  );
}

/** CPU seconds of the children of this process that have ended. */
export function reapedCpuSeconds(): number {
  return (readStat('self')[0]?.ticksOfReaped ?? Number.NaN) / TICKS_PER_SECOND;
}

/** CPU seconds that the machine has worked since it was started. */
export function machineCpuSeconds(): number {
  const line = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] ?? '';
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0] = line
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softIrq) / TICKS_PER_SECOND;
}

/**
 * The most memory that each process has taken up since {@link forgetPeaks}, in MiB (`VmHWM`, proc(5)). Of a process
 * with descendants (Postgres) it is that of the largest: they share most of it, so a sum would mean nothing.
 */
export function peakMemoryMb(roots: Readonly<Record<string, number>>): Record<string, number> {
  const trees = treesOf(roots);
  return Object.fromEntries(
    Object.entries(trees).map(([name, pids]) => [name, Math.max(...pids.map(peakOf))]),
  );
}

/** Has the kernel forget the peaks of before. */
export function forgetPeaks(roots: Readonly<Record<string, number>>): void {
  for (const pid of Object.values(treesOf(roots)).flat()) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
    } catch {
      // It has ended, or belongs to another user: then its peak is one of all its life, an upper bound.
    }
  }
}

function peakOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) / 1024;
  } catch {
    // It has ended.
    return 0;
  }
}

function treesOf(roots: Readonly<Record<string, number>>): Record<string, number[]> {
  const all = readAll();
  const listed = new Set(Object.values(roots));
  const tree = (pid: number): number[] => [
    pid,
    ...[...all.values()]
      .filter(({ parent, pid: child }) => parent === pid && !listed.has(child))
      .flatMap((child) => tree(child.pid)),
  ];
  return Object.fromEntries(Object.entries(roots).map(([name, pid]) => [name, tree(pid)]));
}

function readAll(): Map<number, Stat> {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return new Map(pids.flatMap((pid) => readStat(pid)).map((stat) => [stat.pid, stat]));
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
    return [
      {
        pid: Number.parseInt(text, 10),
        parent,
        ticks: user + system,
        ticksOfReaped: reapedUser + reapedSystem,
      },
    ];
  } catch {
    // It ended between the listing and the reading.
    return [];
  }
}
