/** What may destroy what was acknowledged, or seem to, and which of it then may be lost. */
import { setTimeout as delay } from 'node:timers/promises';
import type { QueueConfig } from '../../src/runtime.ts';
import { copyOfFolder, emptiedFolder } from '../support/folder-copies.ts';
import { prepare, TestInlet, testConfig } from '../support/inlet.ts';
import { databaseUrl, query } from '../support/postgres.ts';
import { emptied, hasKey } from '../support/queue-copies.ts';
import type { TestRedis } from '../support/redis.ts';
import { startRedis } from '../support/redis.ts';
import { waitFor } from '../support/wait-for.ts';
import { recovered } from './faults.ts';
import type { AllowedLoss } from './history.ts';
import type { StandIns } from './member.ts';
import type { World } from './world.ts';

/** How long the address of Redis leads to that of another Inlet, in milliseconds. */
const SWAPPED_MS = 8_000;

const HOUR_MS = 3_600_000;

/** While a disaster happens. */
export interface Scene {
  readonly world: World;
  readonly namespace: string;
  /** Waits until clients have had some more writes acknowledged. */
  load(): Promise<void>;
}

/** What may be lost after it. */
type Reach = Pick<AllowedLoss, 'from' | 'to'>;

/** Something that happens while clients write. Processes that it ends are started again afterwards. */
export type Disaster = (scene: Scene) => Promise<Reach>;

type Step = (scene: Scene) => Promise<unknown>;

/** The queue is emptied while its server runs, and much waits in it. */
export const queueEmptied: Disaster = async (scene) => {
  await muchWaits(scene);
  await emptied(redisOf(scene.world).url);
  return { from: -Infinity, to: performance.now() };
};

/** The queue's server comes back with an empty folder when no process runs. */
export const queueEmptiedUnseen: Disaster = async (scene) => {
  await muchWaits(scene);
  await told(scene, 'acknowledged');
  await endAll(scene);
  const to = performance.now();
  const redis = redisOf(scene.world);
  await redis.kill('SIGKILL');
  await emptiedFolder(redis);
  await redis.start();
  return { from: -Infinity, to };
};

/** The queue's server comes back with an older folder. */
export const queueFromCopy: Disaster = (scene) => fromCopy(scene, ofQueue(scene), muchWaits);

/** The same when no process runs. */
export const queueFromCopyUnseen: Disaster = (scene) =>
  fromCopy(scene, ofQueue(scene), muchWaits, () => told(scene, 'acknowledged'), endAll);

/** The database's server comes back with an older folder. */
export const databaseFromCopy: Disaster = (scene) => databaseFrom(scene, wasStored(scene));

/** The same when no process runs. */
export const databaseFromCopyUnseen: Disaster = (scene) => databaseFrom(scene, wasStored(scene), endAll);

/** What waited when the copy was made is lost too where it was stored after that. */
async function databaseFrom(scene: Scene, ...meanwhile: readonly Step[]): Promise<Reach> {
  return { ...(await fromCopy(scene, ofDatabase(scene), ...meanwhile)), from: -Infinity };
}

interface Server {
  readonly data: string;
  readonly kill: () => Promise<void>;
  readonly start: () => Promise<void>;
}

function ofQueue({ world }: Scene): Server {
  const redis = redisOf(world);
  return { ...redis, kill: () => redis.kill('SIGKILL') };
}

function ofDatabase({ world: { postgres } }: Scene): Server {
  return { ...postgres, kill: () => postgres.kill('SIGQUIT') };
}

/** @param meanwhile what happens between the copy and the disaster */
async function fromCopy(scene: Scene, server: Server, ...meanwhile: readonly Step[]): Promise<Reach> {
  await server.kill();
  const from = performance.now();
  const restore = await copyOfFolder(server);
  await server.start();
  for (const step of meanwhile) await step(scene);
  await server.kill();
  const to = performance.now();
  await restore();
  await server.start();
  return { from, to };
}

async function muchWaits({ world: { workers }, load }: Scene): Promise<void> {
  await Promise.all(workers.map((worker) => worker.kill()));
  await load();
}

async function endAll({ world: { apis, workers } }: Scene): Promise<void> {
  await Promise.all([...apis, ...workers].map((member) => member.kill()));
}

function wasStored({ world }: Scene): Step {
  return world.redis ? (scene) => told(scene, 'stored') : (scene) => scene.load();
}

/** Waits until what processes tell the database of the queue was told. */
async function told({ world, load }: Scene, mark: 'acknowledged' | 'stored'): Promise<void> {
  const known = async () => (await query(world.postgres.url, `SELECT ${mark} FROM inlet.queue`))[0]?.[mark];
  for (let times = 0; times < 2; times += 1) {
    const before = await known();
    await waitFor(`"${mark}" to be told`, async () => (await known()) !== before);
  }
  await load();
}

/** Which queue an Inlet takes for its own. */
type QueueNames = Pick<QueueConfig, 'redisPrefix' | 'queueId'>;

/**
 * The address of Redis leads to that of another Inlet for some seconds, which goes on meanwhile.
 * @param names those of the other one; an id of its own unless told
 * @returns what of the other Inlet's is not as it should be
 */
export async function queueSwapped(
  { world, namespace }: Omit<Scene, 'load'>,
  names?: QueueNames,
): Promise<string[]> {
  const foreign = await startRedis();
  const url = databaseUrl(world.postgres.url, `other_${Date.now()}`);
  await query(world.postgres.url, `CREATE DATABASE ${new URL(url).pathname.slice(1)}`);
  const { redisPrefix } = world.config;
  const config = await prepare(testConfig({ databaseUrl: url, redisUrl: foreign.url }, { redisPrefix }));
  if (names) await query(url, `UPDATE inlet.queue SET id = '${names.queueId}'`);
  const other = await TestInlet.start({ ...config, ...names }, { workers: 0 });
  try {
    const theirs: string[] = [];
    const write = async () => {
      const id = `theirs-${theirs.length}`;
      theirs.push(await other.write(namespace, JSON.stringify({ data: { id, v: id } })));
    };
    for (let i = 0; i < 20; i += 1) await write();
    move(world, foreign.port);
    for (const end = performance.now() + SWAPPED_MS; performance.now() < end; await delay(50)) await write();
    move(world, redisOf(world).port);
    await other.addWorker();
    const isDone = "status = 'succeeded'";
    const done = async () =>
      (await query(url, `SELECT request_id FROM inlet.requests WHERE ${isDone}`)).length;
    // Where it takes too long the list says so.
    await waitFor('all of theirs', async () => (await done()) === theirs.length, 10_000).catch(
      () => undefined,
    );
    const crossed = await query(
      url,
      `SELECT namespace, id FROM inlet.objects WHERE namespace <> '${namespace}' OR id NOT LIKE 'theirs-%'`,
    );
    return [
      ...crossed.map((row) => `stored in the other's database: ${JSON.stringify(row)}`),
      ...((await done()) === theirs.length ? [] : [`${await done()} of ${theirs.length} requests are done`]),
    ];
  } finally {
    await other.close();
    await foreign.stop();
  }
}

function move({ links }: World, port: number): void {
  for (const [name, link] of links) if (name.endsWith('-redis')) link.moveTo(port);
}

/** A version whose keys carry no id of the queue. */
const EARLIER_VERSION: StandIns = {
  'queue/redis.js': 'earlier-version-redis',
  'ingest/loss-watch.js': 'no-loss-watch',
};

/** Processes of an earlier version are replaced by those of this one, half of them first, while clients write. */
export async function earlierVersionReplaced({ world, load }: Scene): Promise<void> {
  const { apis, workers } = world;
  const members = [...apis, ...workers];
  await Promise.all(members.map((member) => member.restart(EARLIER_VERSION)));
  await recovered(world);
  await load();
  if (!(await hasKey(redisOf(world).url, `${world.config.redisPrefix}:inlet:meta`))) {
    throw new Error('the earlier version has the queue of this one');
  }
  for (const half of [0, 1]) {
    // So that much of what the earlier version has accepted waits.
    await Promise.all(workers.slice(half).map((worker) => worker.kill()));
    await load();
    await apis[half]?.restart();
    workers[half]?.start();
    for (const worker of workers.slice(half + 1)) worker.start(EARLIER_VERSION);
    await recovered(world);
    await load();
  }
}

/** The clock of the queue's server steps back by an hour. @returns when, as `begunAt` */
export async function clockStepsBack({ world, load }: Scene): Promise<number> {
  await world.clock?.step(-HOUR_MS);
  const at = performance.now();
  await load();
  return at;
}

function redisOf({ redis }: World): TestRedis {
  if (!redis) throw new Error('this disaster needs the queue in Redis');
  return redis;
}
