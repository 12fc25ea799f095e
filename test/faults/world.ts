/**
 * All that a fault run works with: a Redis and a Postgres of its own, set up as operators are told to, APIs and workers
 * as processes, and a proxy between any two that talk to each other.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { QueueConfig } from '../../src/runtime.ts';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { checkAnswersOf } from '../support/answers.ts';
import { KEY, prepare, testConfig } from '../support/inlet.ts';
import type { TestPostgres } from '../support/postgres.ts';
import { query, startPostgres } from '../support/postgres.ts';
import type { TestProxy } from '../support/proxy.ts';
import { startProxy } from '../support/proxy.ts';
import { depthOf, openProvider, whenConnected } from '../support/queues.ts';
import type { TestRedis } from '../support/redis.ts';
import { startRedis } from '../support/redis.ts';
import type { SteppableClock } from '../support/steppable-clock.ts';
import { canStepClocks, steppableClock } from '../support/steppable-clock.ts';
import type { StandIns } from './member.ts';
import { Member } from './member.ts';
import type { SmallDisk } from './small-disk.ts';
import { mountSmallDisk } from './small-disk.ts';

/** Room for some dozen rounds, and little enough to be filled at once. */
const DISK_MEGABYTES = 1_024;

/** Where the queue lives. */
export type QueueName = 'redis' | 'postgres';

export interface WorldOptions {
  readonly queue: QueueName;
  /** Whether Postgres is to have a disk that can be filled, where the machine allows it. */
  readonly smallDisk?: boolean;
  /** How many of each there are; two unless told. */
  readonly apis?: number;
  readonly workers?: number;
  /** Further environment of all processes. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Modules that are exchanged in all processes. */
  readonly standIns?: StandIns;
}

/** An API as clients and faults see it. */
interface ApiMember extends Member {
  /** Where clients reach it, through a proxy. */
  readonly url: string;
  /** The same without the proxy. */
  readonly directUrl: string;
  /** Sets its clock so many milliseconds ahead, or behind. */
  setClock(offsetMs: number): Promise<void>;
}

export interface World {
  readonly queue: QueueName;
  readonly config: QueueConfig;
  readonly redis: TestRedis | undefined;
  readonly postgres: TestPostgres;
  /** That of the queue's server; undefined where the machine has no compiler. */
  readonly clock: SteppableClock | undefined;
  /** Undefined where none is wanted, or the machine doesn't allow it. */
  readonly disk: SmallDisk | undefined;
  readonly apis: readonly ApiMember[];
  readonly workers: readonly Member[];
  /** By who talks to whom: `client-api0`, `api0-redis`, `worker1-postgres`. */
  readonly links: ReadonlyMap<string, TestProxy>;
  /** How many batches wait in the queue, or are being worked on. */
  leftInQueue(): Promise<number>;
  /** What was found wrong with processes since the last call. */
  complaints(): readonly string[];
  close(): Promise<void>;
}

class ProxiedApi extends Member implements ApiMember {
  readonly url: string;
  readonly directUrl: string;
  readonly #clockFile: string;

  constructor(options: ConstructorParameters<typeof Member>[0], url: string, clockFile: string) {
    super({
      ...options,
      environment: { ...options.environment, CLOCK_FILE: clockFile },
    });
    this.url = url;
    this.directUrl = `http://127.0.0.1:${options.port}`;
    for (const each of [this.url, this.directUrl]) checkAnswersOf(each);
    this.#clockFile = clockFile;
  }

  async setClock(offsetMs: number): Promise<void> {
    await writeFile(this.#clockFile, `${offsetMs}`);
  }
}

/** Starts one, and waits until all of it is ready. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (let closer = closers.pop(); closer; closer = closers.pop()) await closer();
  };
  try {
    return { ...(await open(options, closers)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function open(
  options: WorldOptions,
  closers: (() => Promise<unknown>)[],
): Promise<Omit<World, 'close'>> {
  const folder = await mkdtemp(path.join(tmpdir(), 'inlet-world-'));
  closers.push(() => rm(folder, { recursive: true, force: true }));
  const disk = options.smallDisk ? await mountSmallDisk(DISK_MEGABYTES) : undefined;
  if (disk) closers.push(() => disk.remove());
  const clock = canStepClocks ? await steppableClock() : undefined;
  if (clock) closers.push(() => clock.remove());
  const stepped = clock ? { environment: clock.environment } : {};
  const postgres = await startPostgres({
    fsync: true,
    ...(options.queue === 'postgres' ? stepped : {}),
    // So few connections that all of them can be taken, and so little log that the small disk holds it.
    settings: { max_connections: '120', max_wal_size: '192MB', shared_buffers: '128MB' },
    ...(disk ? { parent: disk.folder } : {}),
  });
  closers.push(() => postgres.stop());
  const redis = options.queue === 'redis' ? await startRedis(stepped) : undefined;
  if (redis) closers.push(() => redis.stop());
  const config = await prepare(testConfig({ databaseUrl: postgres.url, redisUrl: redis?.url }));
  // What an operator may do: a rule of their own, which some objects break.
  await query(postgres.url, `ALTER TABLE inlet.objects ADD CONSTRAINT no_poison CHECK (NOT data ? 'poison')`);

  const links = new Map<string, TestProxy>();
  const link = async (name: string, port: number): Promise<TestProxy> => {
    const proxy = await startProxy(port);
    closers.push(() => proxy.close());
    links.set(name, proxy);
    return proxy;
  };
  const environmentOf = async (name: string): Promise<Record<string, string>> => ({
    DATABASE_URL: withPort(postgres.url, (await link(`${name}-postgres`, postgres.port)).port),
    ...(redis ? { REDIS_URL: withPort(redis.url, (await link(`${name}-redis`, redis.port)).port) } : {}),
    INLET_REDIS_PREFIX: config.redisPrefix,
    INLET_HISTORY_LIMIT: '1000000',
    LOG_LEVEL: process.env['TEST_LOG'] ?? 'warn',
    ...options.environment,
  });

  const apis: ProxiedApi[] = [];
  for (let i = 0; i < (options.apis ?? 2); i += 1) {
    const name = `api${i}`;
    const port = await freePort();
    const url = `http://127.0.0.1:${(await link(`client-${name}`, port)).port}`;
    const environment = {
      ...(await environmentOf(name)),
      ...{ INLET_API_KEYS: KEY, PORT: `${port}`, INLET_PUBLIC_URL: url },
    };
    apis.push(
      new ProxiedApi(
        { name, role: 'api', port, environment, standIns: options.standIns },
        url,
        path.join(folder, `clock-${i}`),
      ),
    );
  }
  const workers: Member[] = [];
  for (let i = 0; i < (options.workers ?? 2); i += 1) {
    const name = `worker${i}`;
    const port = await freePort();
    const environment = { ...(await environmentOf(name)), INLET_WORKER_PORT: `${port}` };
    workers.push(new Member({ name, role: 'worker', port, environment, standIns: options.standIns }));
  }
  const members = [...apis, ...workers];
  closers.push(() => Promise.all(members.map((member) => member.close())));
  for (const member of members) member.start();
  for (const member of members) await member.ready();

  const batches = openProvider(config).openQueue();
  closers.push(() => batches.close());
  return {
    ...{ queue: options.queue, config, redis, postgres, clock, disk, apis, workers, links },
    leftInQueue: () => whenConnected(() => depthOf(batches)),
    complaints: () => members.flatMap((member) => member.complaints()),
  };
}

function withPort(url: string, port: number): string {
  const moved = new URL(url);
  moved.port = `${port}`;
  return moved.href;
}
