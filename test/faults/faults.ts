/** What can go wrong, each as something that begins, lasts and is over again. */
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { TestPostgres } from '../support/postgres.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';
import { holdAllConnections } from './held-connections.ts';
import type { Member } from './member.ts';
import { signalPostgres } from './signal-postgres.ts';
import { whileStoring } from './while-storing.ts';
import type { World } from './world.ts';

/** Faults are drawn by kind first, or those of the many connections would be nearly all. */
const KINDS = ['kill', 'freeze', 'connection', 'resources', 'clock'] as const;

export interface Fault {
  readonly kind: (typeof KINDS)[number];
  /** Unique, and says what is done to what. */
  readonly name: string;
  /** What it happens to. Two faults at a time happen to different things. */
  readonly target: string;
  /** Longest time that it makes sense, in milliseconds. */
  readonly longestMs: number;
  /** Makes it happen, lets it last for so many milliseconds, and ends it. */
  run(lastsMs: number): Promise<void>;
}

interface Lasting extends Omit<Fault, 'run'> {
  readonly begin: () => unknown;
  readonly end: () => unknown;
}

function lasting({ begin, end, ...fault }: Lasting): Fault {
  return {
    ...fault,
    async run(lastsMs) {
      await begin();
      await delay(lastsMs);
      await end();
    },
  };
}

/** All faults of a world, by kind. @param only leaves out those with other names */
export function faultsOf(world: World, only = /./): ReadonlyMap<Fault['kind'], readonly Fault[]> {
  const all = [
    ...memberFaults(world),
    ...connectionFaults(world),
    ...redisFaults(world),
    ...postgresFaults(world),
    ...queueClockFaults(world),
  ].filter(({ name }) => only.test(name));
  const byKind = KINDS.map((kind) => [kind, all.filter((fault) => fault.kind === kind)] as const);
  return new Map(byKind.filter(([, faults]) => faults.length > 0));
}

function memberFaults({ apis, workers, postgres }: World): Fault[] {
  /** Workers have batches in hand then. */
  const atWork = (member: Member, act: () => Promise<void>): Promise<void> =>
    member.role === 'api' ? act() : whileStoring(postgres.url, act);
  const kills = [...apis, ...workers].map((member) =>
    lasting({
      ...{ kind: 'kill', name: `kill -9 ${member.name}`, target: member.name, longestMs: 3_000 },
      begin: () => atWork(member, () => member.kill()),
      end: () => member.start(),
    }),
  );
  const freezes = [...apis, ...workers].map((member) =>
    lasting({
      ...{ kind: 'freeze', name: `freeze ${member.name}`, target: member.name },
      // A worker for longer than the locks of its jobs: another takes them over, and they run twice.
      longestMs: member.role === 'api' ? 10_000 : 18_000,
      begin: () => atWork(member, async () => member.signal('SIGSTOP')),
      end: () => member.signal('SIGCONT'),
    }),
  );
  return [...kills, ...freezes, ...apis.map((api) => clockSteps(api.name, (ms) => api.setClock(ms)))];
}

/** Steps of seconds, minutes and hours, there and back, while requests are being taken. */
function clockSteps(target: string, step: (ms: number) => Promise<void>): Fault {
  return {
    ...{ kind: 'clock', name: `clock steps of ${target}`, target, longestMs: 6_000 },
    async run(lastsMs) {
      const steps = [-5_000, 3_600_000, -3_600_000, 60_000, -60_000];
      for (const ms of steps) {
        await step(ms);
        await delay(lastsMs / steps.length);
      }
      await step(0);
    },
  };
}

/** What orders writes is read from the queue's server. */
function queueClockFaults({ queue, clock }: World): Fault[] {
  return clock ? [clockSteps(queue, (ms) => clock.step(ms))] : [];
}

function connectionFaults({ links }: World): Fault[] {
  return [...links].flatMap(([name, link]) => {
    const end = (): void => link.heal();
    const fault = { kind: 'connection', target: name, longestMs: 8_000, end } as const;
    return [
      lasting({ ...fault, name: `cut ${name}`, begin: () => link.cut() }),
      lasting({ ...fault, name: `half-open ${name}`, longestMs: 12_000, begin: () => link.hold() }),
      lasting({ ...fault, name: `slow ${name}`, begin: () => link.slow(150) }),
    ];
  });
}

function redisFaults({ redis }: World): Fault[] {
  if (!redis) return [];
  const start = (): Promise<void> => redis.start();
  const fault = { target: 'redis', longestMs: 10_000 };
  return [
    lasting({
      ...{ ...fault, kind: 'kill', name: 'kill -9 redis', longestMs: 3_000 },
      begin: () => redis.kill('SIGKILL'),
      end: start,
    }),
    lasting({
      ...{ ...fault, kind: 'freeze', name: 'freeze redis' },
      begin: () => redis.kill('SIGSTOP'),
      end: () => redis.kill('SIGCONT'),
    }),
    lasting({
      ...{ ...fault, kind: 'resources', name: 'redis at maxmemory' },
      begin: () => setMaxmemory(redis.url, '1mb'),
      end: () => setMaxmemory(redis.url, '0'),
    }),
  ];
}

function postgresFaults({ postgres, disk }: World): Fault[] {
  const fault = { target: 'postgres', longestMs: 8_000 };
  const kill = (signal: NodeJS.Signals, name: string): Fault =>
    lasting({
      ...{ ...fault, kind: 'kill', name, longestMs: 3_000 },
      begin: () => postgres.kill(signal),
      end: () => postgres.start(),
    });
  const freeze = lasting({
    ...{ ...fault, kind: 'freeze', name: 'freeze postgres', longestMs: 10_000 },
    begin: () => signalPostgres(postgres.pid, 'SIGSTOP'),
    end: () => signalPostgres(postgres.pid, 'SIGCONT'),
  });
  const noConnections: Fault = {
    ...{ ...fault, kind: 'resources', name: 'postgres out of connections' },
    run: (lastsMs) => holdAllConnections(postgres.url, lastsMs),
  };
  const fullDisk =
    disk &&
    lasting({
      ...{ ...fault, kind: 'resources', name: 'disk of postgres full' },
      begin: () => disk.fill(),
      end: () => disk.free().then(() => runAgain(postgres)),
    });
  return [
    kill('SIGQUIT', 'kill postgres (immediate shutdown)'),
    kill('SIGKILL', 'kill -9 postgres'),
    // Its processes are found in /proc.
    ...(process.platform === 'linux' ? [freeze] : []),
    noConnections,
    ...(fullDisk ? [fullDisk] : []),
  ];
}

/** Without space for its log Postgres ends, sooner or later, and can't recover before there is some. */
async function runAgain(postgres: TestPostgres): Promise<void> {
  const answers = async (): Promise<boolean> => {
    if (!(await postgres.isRunning())) await postgres.start();
    return (await query(postgres.url, 'SELECT 1')).length === 1;
  };
  await waitFor('Postgres to answer again', answers, 60_000);
}

async function setMaxmemory(url: string, value: string): Promise<void> {
  const client = new Redis(url, { maxRetriesPerRequest: 3 });
  client.on('error', () => undefined); // the command fails with the same
  try {
    await client.config('SET', 'maxmemory', value);
  } finally {
    client.disconnect();
  }
}

/** Waits until everything is there again and takes work. */
export async function recovered(world: World): Promise<void> {
  for (const link of world.links.values()) link.heal();
  await runAgain(world.postgres);
  const members = [...world.apis, ...world.workers];
  for (const member of members) if (member.isEnded) member.start();
  for (const member of members) await member.ready();
}
