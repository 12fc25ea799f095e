/** What can go wrong, each as something that begins, lasts and is over again. */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type { TestPostgres } from '../support/postgres.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';
import { holdAllConnections } from './held-connections.ts';
import type { Member } from './member.ts';
import type { ApiMember, World } from './world.ts';

export interface Fault {
  /** Unique, and says what is done to what. */
  readonly name: string;
  /** What it happens to. Two faults at a time happen to different things. */
  readonly target: string;
  /** Makes it happen, lets it last for so many milliseconds, and ends it. */
  run(lastsMs: number): Promise<void>;
  /** Longest time that it makes sense, in milliseconds. */
  readonly longestMs: number;
}

/** All faults of a world. */
export function faultsOf(world: World): Fault[] {
  const { apis, workers, links, redis, postgres, disk } = world;
  return [
    ...[...apis, ...workers].map(kill),
    ...apis.map((api) => freeze(api, 10_000)),
    // Longer than the lock of its jobs: another worker takes them over, and they run twice.
    ...workers.map((worker) => freeze(worker, 18_000)),
    ...apis.map(stepClock),
    ...[...links].flatMap(([name, link]): Fault[] => [
      lasting(
        `cut ${name}`,
        name,
        6_000,
        () => link.cut(),
        () => link.heal(),
      ),
      lasting(
        `hold ${name}`,
        name,
        10_000,
        () => link.hold(),
        () => link.heal(),
      ),
      lasting(
        `slow ${name}`,
        name,
        6_000,
        () => link.slow(150),
        () => link.heal(),
      ),
    ]),
    ...(redis
      ? [
          restart(
            'kill -9 redis',
            'redis',
            () => redis.kill('SIGKILL'),
            () => redis.start(),
          ),
          lasting(
            'freeze redis',
            'redis',
            10_000,
            () => redis.kill('SIGSTOP'),
            () => redis.kill('SIGCONT'),
          ),
          lasting(
            'redis at maxmemory',
            'redis',
            6_000,
            () => maxmemory(redis.url, '1mb'),
            () => maxmemory(redis.url, '0'),
          ),
        ]
      : []),
    restart(
      'kill postgres (immediate)',
      'postgres',
      () => postgres.kill('SIGQUIT'),
      () => postgres.start(),
    ),
    restart(
      'kill -9 postgres',
      'postgres',
      () => postgres.kill('SIGKILL'),
      () => postgres.start(),
    ),
    ...(process.platform === 'linux'
      ? [
          lasting(
            'freeze postgres',
            'postgres',
            10_000,
            () => signalAll(postgres.pid, 'SIGSTOP'),
            () => signalAll(postgres.pid, 'SIGCONT'),
          ),
        ]
      : []),
    {
      ...{ name: 'postgres out of connections', target: 'postgres', longestMs: 6_000 },
      run: (lastsMs) => holdAllConnections(postgres.url, lastsMs),
    },
    ...(disk
      ? [
          lasting(
            'disk of postgres full',
            'postgres',
            6_000,
            () => disk.fill(),
            async () => {
              await disk.free();
              await runAgain(postgres);
            },
          ),
        ]
      : []),
  ];
}

function lasting(
  name: string,
  target: string,
  longestMs: number,
  begin: () => unknown,
  end: () => unknown,
): Fault {
  return {
    ...{ name, target, longestMs },
    async run(lastsMs) {
      await begin();
      await delay(lastsMs);
      await end();
    },
  };
}

function restart(name: string, target: string, end: () => Promise<void>, start: () => Promise<void>): Fault {
  return lasting(name, target, 3_000, end, start);
}

function kill(member: Member): Fault {
  return lasting(
    `kill -9 ${member.name}`,
    member.name,
    3_000,
    () => member.kill(),
    () => void member.start(),
  );
}

function freeze(member: Member, longestMs: number): Fault {
  const { name } = member;
  return lasting(
    `freeze ${name}`,
    name,
    longestMs,
    () => member.signal('SIGSTOP'),
    () => member.signal('SIGCONT'),
  );
}

/** Steps that grow: seconds, minutes, hours, there and back, while requests are being taken. */
function stepClock(api: ApiMember): Fault {
  return {
    ...{ name: `clock steps of ${api.name}`, target: api.name, longestMs: 6_000 },
    async run(lastsMs) {
      const steps = [-5_000, 3_600_000, -3_600_000, 60_000, -60_000];
      for (const step of steps) {
        await api.setClock(step);
        await delay(lastsMs / steps.length);
      }
      await api.setClock(0);
    },
  };
}

/** Without space for its log Postgres ends, sooner or later, and can't recover before there is some. */
async function runAgain(postgres: TestPostgres): Promise<void> {
  await waitFor(
    'Postgres to answer again',
    async () => {
      if (!(await postgres.isRunning())) await postgres.start();
      return (await query(postgres.url, 'SELECT 1')).length === 1;
    },
    60_000,
  );
}

async function maxmemory(url: string, value: string): Promise<void> {
  const client = new Redis(url, { maxRetriesPerRequest: 3 });
  client.on('error', () => undefined); // the command fails with the same
  try {
    await client.config('SET', 'maxmemory', value);
  } finally {
    client.disconnect();
  }
}

/** A server of Postgres is a process for each connection, in sessions of their own. */
async function signalAll(pid: number, signal: NodeJS.Signals): Promise<void> {
  // The one that makes others first, or last: none comes while the others are stopped.
  if (signal === 'SIGSTOP') process.kill(pid, signal);
  for (const child of await childrenOf(pid)) {
    try {
      process.kill(child, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  if (signal !== 'SIGSTOP') process.kill(pid, signal);
}

async function childrenOf(parent: number): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = await Promise.all(
    pids.map(async (pid) => {
      // One that has ended meanwhile has no parent.
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    }),
  );
  return pids.filter((_, i) => parents[i] === parent);
}

/** Waits until everything is there again and takes work. */
export async function recovered(world: World): Promise<void> {
  for (const link of world.links.values()) link.heal();
  await waitFor('Postgres to run', () => world.postgres.isRunning());
  for (const member of [...world.apis, ...world.workers]) await member.ready();
}
