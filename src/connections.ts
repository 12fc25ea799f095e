/** How many connections to Postgres a process opens, and what it does where there may be fewer. */
import { OperatorError } from './errors.ts';
import { LANES } from './queue/lane.ts';
import type { RuntimeConfig } from './runtime.ts';
import { connectionLimit } from './store/connection-limit.ts';
import { Database } from './store/database.ts';
import { faultKind } from './store/faults.ts';
import type { Log } from './telemetry.ts';

/** Most connections of each kind of pool. */
export interface PoolSizes {
  /** For what the API reads. */
  readonly api: number;
  /** Each transaction of a worker has one for itself, and so have its other tasks. */
  readonly worker: number;
  readonly webhooks: number;
  /** Of each of BullMQ's pools, of which a process has several, where the queue is in Postgres. */
  readonly queue: number;
}

type Needs = Pick<RuntimeConfig, 'workerConcurrency' | 'evaluator' | 'redisUrl'>;
type Part = 'api' | 'worker';

const LEAST: PoolSizes = { api: 1, worker: 2, webhooks: 1, queue: 1 };

/** Batches that are evaluated at one time: while what came of one is kept, the evaluator has the other. */
export const EVALUATIONS_AT_ONCE = 2;

/** Chunks of imports in hand: files leave half of what a worker can do to single writes, and use it up when there are none. */
export function importsAtOnce(workerConcurrency: number): number {
  return Math.ceil(workerConcurrency / 2);
}

/** The pools of a process that may have as many connections as it likes. */
export function poolSizes({ workerConcurrency, evaluator }: Omit<Needs, 'redisUrl'>): PoolSizes {
  // One for replays, one for how it is, and one for retention.
  const worker = workerConcurrency + importsAtOnce(workerConcurrency) + 3;
  return { api: 10, worker: worker + (evaluator ? EVALUATIONS_AT_ONCE : 0), webhooks: 3, queue: 4 };
}

/** Most connections of a process with such pools. */
export function connectionsOf(
  parts: readonly Part[],
  sizes: PoolSizes,
  { redisUrl, evaluator }: Needs,
): number {
  // A producer's own statements have half as many as each of its queues.
  const producer = (count: number) => count * sizes.queue + Math.ceil(sizes.queue / 2);
  // A worker listens over a connection of its own.
  const consumers = (count: number) => count * (sizes.queue + 1);
  const lanes = LANES.length;
  // One more tries whether writes get through.
  const queues = lanes + 1;
  const taskQueues = evaluator ? 2 : 1;
  // The API listens for changes of keys.
  const api = sizes.api + 1 + (redisUrl ? 0 : producer(queues));
  const ofQueue = producer(queues) + consumers(lanes) + taskQueues * (producer(1) + consumers(1));
  const worker = sizes.worker + sizes.webhooks + (redisUrl ? 0 : ofQueue);
  return (parts.includes('api') ? api : 0) + (parts.includes('worker') ? worker : 0);
}

/**
 * Looks how many connections Postgres allows, says in the log how many this process opens, and makes it do with fewer where
 * that is too many. Where Postgres can't be reached nothing is known, and nothing changed.
 * @param parts what runs in this process
 * @returns the settings, with the sizes of pools, and a concurrency for which they are enough
 * @throws OperatorError where even the smallest pools are too many
 */
export async function fitConnections<Settings extends RuntimeConfig>(
  config: Settings,
  parts: readonly Part[],
  log: Log,
): Promise<Settings> {
  const database = new Database({
    url: config.databaseUrl,
    poolSize: 1,
    queryTimeoutMs: 4_000,
    onError: () => undefined,
  });
  try {
    const { most, by } = await connectionLimit(database);
    return keptWithin(config, parts, most, by, log);
  } catch (error) {
    if (faultKind(error) !== 'infrastructure') throw error;
    return config;
  } finally {
    await database.close();
  }
}

function keptWithin<Settings extends RuntimeConfig>(
  config: Settings,
  parts: readonly Part[],
  allowed: number,
  by: string,
  log: Log,
): Settings {
  const wanted = connectionsOf(parts, poolSizes(config), config);
  if (wanted <= allowed) {
    log.info(
      { connections: wanted, allowed },
      `this process opens at most ${wanted} connections to Postgres`,
    );
    return config;
  }
  const least = connectionsOf(parts, LEAST, config);
  if (least > allowed) {
    const redis = config.redisUrl ? '' : ', or set REDIS_URL: then it needs fewer';
    throw new OperatorError(
      `Postgres allows ${allowed} connections (${by}), and this process needs ${least} at least: raise the limit${redis}.`,
    );
  }
  const fitted = largest(config, parts, allowed);
  const connections = connectionsOf(parts, fitted.pools, config);
  log.warn(
    { connections, allowed, ...fitted },
    `Postgres allows ${allowed} connections (${by}), and this process would open up to ${wanted}: it makes do with ${connections}`,
  );
  return { ...config, ...fitted };
}

/** The largest pools, and the concurrency that they are for, with which a process keeps to a limit. */
function largest(
  config: RuntimeConfig,
  parts: readonly Part[],
  allowed: number,
): { workerConcurrency: number; pools: PoolSizes } {
  for (let workerConcurrency = config.workerConcurrency; workerConcurrency > 0; workerConcurrency -= 1) {
    const full = poolSizes({ ...config, workerConcurrency });
    // What waits for a connection of the others waits a little longer; a worker's transactions would fail.
    for (const part of [1, 0.5, 0.25, 0]) {
      const pools = { ...shrunk(full, part), worker: full.worker };
      if (connectionsOf(parts, pools, config) <= allowed) return { workerConcurrency, pools };
    }
  }
  return { workerConcurrency: 1, pools: LEAST };
}

function shrunk(sizes: PoolSizes, part: number): PoolSizes {
  const of = (name: keyof PoolSizes) => Math.max(LEAST[name], Math.round(sizes[name] * part));
  return { api: of('api'), worker: of('worker'), webhooks: of('webhooks'), queue: of('queue') };
}
