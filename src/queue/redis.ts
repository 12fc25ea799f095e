/** The Redis (or Valkey) backend. */
import { randomBytes } from 'node:crypto';
import type { Telemetry, WorkerOptions } from 'bullmq';
import { createRedisBackend, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { Backend, LaneLoad, Producer } from './backend.ts';
import { PENDING, PRODUCER_TIMEOUT_MS, tracedBy } from './backend.ts';
import type { Line } from './lane.ts';
import { laneName } from './lane.ts';
import type { QueueMarks } from './queue.ts';
import { ForeignQueueError, QueueUnavailableError } from './queue.ts';
import { MemoryWatch } from './redis-memory.ts';
import * as scripts from './redis-scripts.ts';
import { isDatabaseRefused } from './redis-url.ts';

export interface RedisBackendOptions {
  readonly url: string;
  readonly queueName: string;
  /** What all keys begin with. */
  readonly prefix: string;
  /** Which of the queues with this prefix is this Inlet's: the keys of its jobs carry it. */
  readonly queueId: string;
  /** Told of connection errors, which are otherwise seen only by the calls that they fail. */
  readonly onError: (error: Error) => void;
  /** Carries traces through jobs. */
  readonly telemetry?: Telemetry | undefined;
}

/** How long a worker waits for an answer of Redis, in milliseconds; then it connects anew. */
const WORKER_TIMEOUT_MS = 5_000;

/**
 * The limit is for the one of a worker's two connections on which BullMQ would wait as long as TCP does. On the other one
 * it waits for jobs, which may take longer, and looks after that itself.
 */
const createWorkerBackend: typeof createRedisBackend = (...options) => {
  const backend = createRedisBackend(...options);
  const forJobs = backend.blockingClient?.then((client) => {
    client.options['socketTimeout'] = undefined;
  });
  // The worker is told by another way that it couldn't connect.
  forJobs?.catch(() => undefined);
  return backend;
};

export function redisBackend(options: RedisBackendOptions): Backend {
  return {
    openProducer: () => openProducer(options),
    createWorker: (...args) => createWorker(options, keysOf(options), ...args),
    createEarlierWorker: (...args) => createWorker(options, options.prefix, ...args),
  };
}

function createWorker(
  { url, queueName, telemetry }: RedisBackendOptions,
  prefix: string,
  ...[lane, processor, workerOptions]: Parameters<Backend['createWorker']>
): Worker {
  const name = laneName(queueName, lane);
  const worker = new Worker(
    name,
    processor,
    {
      ...{ ...workerOptions, prefix, ...tracedBy(telemetry) },
      connection: {
        url,
        // A worker has nothing better to do than to wait for its Redis to come back.
        maxRetriesPerRequest: null,
        retryStrategy: reconnectDelay,
        reconnectOnError: reconnectFromWrongServer(),
        socketTimeout: WORKER_TIMEOUT_MS,
      },
    },
    createWorkerBackend,
  );
  shortenExpiries(worker, `${prefix}:${name}:`, workerOptions);
  return worker;
}

/** What the keys of this Inlet's jobs begin with: no other Inlet ever meets them, whatever server it is pointed at. */
function keysOf({ prefix, queueId }: Pick<RedisBackendOptions, 'prefix' | 'queueId'>): string {
  return `${prefix}:${queueId}`;
}

/** The key that says whose queue it is. */
function ownerKey(prefix: string): string {
  return `${prefix}:id`;
}

/** Reads the id of the Inlet whose queue it is; undefined where it is nobody's. @throws where Redis doesn't answer */
export async function readOwner(url: string, prefix: string): Promise<string | undefined> {
  const client = new Redis(url, { ...FAIL_FAST, lazyConnect: true, retryStrategy: () => null });
  // Whatever goes wrong fails the calls.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.get(ownerKey(prefix))) ?? undefined;
  } finally {
    client.disconnect();
  }
}

/**
 * A client that waits for its answer must get it in seconds, and a write that was answered with 503 must not be sent after all
 * when Redis is back.
 */
const FAIL_FAST = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  commandTimeout: PRODUCER_TIMEOUT_MS,
  // A stopped Redis keeps its sockets open; commands sent to it would pile up without this.
  socketTimeout: PRODUCER_TIMEOUT_MS,
  connectTimeout: PRODUCER_TIMEOUT_MS,
} as const;

function openProducer(options: RedisBackendOptions): Producer {
  const { url, queueName, prefix, queueId, onError, telemetry } = options;
  const client = new Redis(url, {
    ...FAIL_FAST,
    retryStrategy: reconnectDelay,
    reconnectOnError: reconnectFromWrongServer(),
  });
  client.on('error', (error) => {
    // In another database it would be another queue.
    if (isDatabaseRefused(error)) client.disconnect(true);
    onError(error);
  });
  let connections = 0;
  client.on('close', () => {
    connections += 1;
  });
  const stampKey = `${keysOf(options)}:${queueName}:stamp`;
  const processesKey = `${stampKey}:processes`;
  const self = randomBytes(6).toString('hex');
  // Those of processes that were killed stay.
  client.on('ready', () => void client.zremrangebyrank(processesKey, 0, -KEPT_PROCESSES - 1).catch(onError));
  const memory = new MemoryWatch(client);
  const run = (script: string, keys: readonly string[], ...values: readonly (string | number)[]) =>
    client.eval(script, keys.length, ...keys, ...values);
  const createQueue = (line: Line, keys: string) =>
    new Queue(
      laneName(queueName, line),
      { connection: client, prefix: keys, ...tracedBy(telemetry) },
      createRedisBackend,
    );
  const raise = (stamp: number, mark: string) => run(scripts.RAISE_MARK, [stampKey], stamp, mark);
  return {
    isConnected: () => client.status === 'ready',
    createQueue: (lane) => createQueue(lane, keysOf(options)),
    earlier: {
      createQueue: (lane) => createQueue(lane, prefix),
      exists: async () => (await client.exists(`${prefix}:${queueName}:meta`)) === 1,
      async hasOurs(lane, jobId) {
        const keys = [stampKey, `${prefix}:${laneName(queueName, lane)}:${jobId}`];
        return (await client.exists(...keys)) === keys.length;
      },
    },
    ping: () => client.ping(),
    async readStamp() {
      const read = (await run(scripts.READ_STAMP, [stampKey, processesKey], self)) as (string | null)[];
      const [seconds, micros, found, own] = read;
      const acceptedAt = Number(seconds) * 1_000_000 + Number(micros);
      const last = found == null ? undefined : Number(found);
      return { acceptedAt, last, own: Number(own ?? 0), stamp: Math.max(acceptedAt, (last ?? 0) + 1) };
    },
    async addStamped(stamp, own, add) {
      const before = connections;
      const raiseLast = () => run(scripts.RAISE_LAST, [stampKey, processesKey], stamp, self, own);
      const [last] = await together(client, () => Promise.all([raiseLast(), add()]));
      if (connections !== before)
        throw new QueueUnavailableError('the connection to Redis was replaced meanwhile');
      if (last == null) throw new QueueUnavailableError(NOT_OURS);
      return Number(last);
    },
    async claim(floor) {
      const keys = [ownerKey(prefix), stampKey, processesKey, `${prefix}:${queueName}:stamp`];
      const claimed = String(await run(scripts.CLAIM, keys, queueId, floor, self));
      if (/^[0-9]+$/.test(claimed)) return Number(claimed);
      throw new ForeignQueueError(
        `REDIS_URL leads to the queue of another Inlet: its id is ${claimed.slice(1)}, and that of this Inlet's database is ${queueId}`,
      );
    },
    async marks() {
      const [[born, last, stored, told], own] = await Promise.all([
        client.zmscore(stampKey, 'born', 'last', 'stored', 'told'),
        client.zscore(processesKey, self),
      ]);
      if (last == null) return undefined;
      return {
        born: Number(born ?? 0),
        last: Number(last),
        stored: Number(stored ?? 0),
        told: Math.max(Number(told ?? 0), Number(born ?? 0)),
        own: Number(own ?? 0),
      } satisfies QueueMarks;
    },
    async mark(name, stamp) {
      if ((await raise(stamp, name)) == null) throw new QueueUnavailableError(NOT_OURS);
    },
    hasRoom: () => memory.hasRoom(),
    laneLoad: (_lane, queue) => laneLoad(queue),
    memory: () => memory.load(),
    onConnectionChange(listener) {
      client.on('ready', () => listener(true));
      client.on('close', () => listener(false));
    },
    weaknesses: () => weaknesses(client),
    async close() {
      if (client.status === 'ready') await client.zrem(processesKey, self).catch(() => undefined);
      client.disconnect();
    },
  };
}

const NOT_OURS = "the queue was emptied, is an older copy of itself, or another Inlet's";

/** How many processes' marks are kept: more than ever run at one time. */
const KEPT_PROCESSES = 1_000;

/** Keeps the expiries of a lane's keys from being longer than they are ever set, as long as the worker is there. */
function shortenExpiries(
  worker: Worker,
  keys: string,
  {
    stalledInterval = 30_000,
    lockDuration = 30_000,
  }: Pick<WorkerOptions, 'stalledInterval' | 'lockDuration'>,
): void {
  const timer = setInterval(() => {
    void worker.backend.client
      // BullMQ's description of the client has fewer commands than the client.
      .then((client) =>
        (client as unknown as Redis).eval(scripts.SHORTEN, 1, keys, stalledInterval, lockDuration),
      )
      // Where Redis is away, there is time for it when it is back.
      .catch(() => undefined);
  }, stalledInterval);
  timer.unref();
  worker.once('closing', () => clearInterval(timer));
}

/**
 * Sends what `send` says as one piece: Redis then has it on disk with one fsync. Commands that follow within microtasks belong
 * to it, as that of BullMQ with which a job is added.
 */
async function together<T>({ stream }: Redis, send: () => Promise<T>): Promise<T> {
  stream?.cork();
  const sent = send();
  // Called from a microtask, this comes when no more of them are left.
  process.nextTick(() => stream?.uncork());
  return sent;
}

/** How many of each state's jobs are looked at for the oldest. */
const LOOKED_AT = 100;

/**
 * Lists have those at their end that came first, and the sorted set of delayed ones those at its beginning that
 * are due first: that is where to look. A batch that failed stands in line anew, so it isn't seen between the end
 * of its delay and its next turn, or behind a hundred others that failed.
 */
async function laneLoad(queue: Queue): Promise<LaneLoad> {
  const [counts, oldest] = await Promise.all([
    queue.getJobCounts(...PENDING),
    queue.getRanges([...PENDING], 0, LOOKED_AT - 1, true),
  ]);
  return { count: Object.values(counts).reduce((sum, count) => sum + count, 0), oldest };
}

/** What a server says that can't do its work, while another one behind the same address may. */
const WRONG_SERVER = /\b(?:READONLY|LOADING|MASTERDOWN|CLUSTERDOWN)\b/;

/** How often a connection is given up for that, in milliseconds. */
const RECONNECT_EVERY_MS = 1_000;

/** Makes the setting of ioredis that says after which errors to connect anew. */
function reconnectFromWrongServer(): (error: Error) => boolean {
  let last = Number.NEGATIVE_INFINITY;
  return ({ message }) => {
    if (!WRONG_SERVER.test(message) || performance.now() - last < RECONNECT_EVERY_MS) return false;
    last = performance.now();
    return true;
  };
}

/** Reconnects soon at first, and at least every second: an API that answers 503 wants to know at once. */
function reconnectDelay(attempt: number): number {
  return Math.min(50 * attempt, 1_000);
}

/** The settings without which an acknowledged write could be lost, and what they should be. */
const REQUIRED_SETTINGS: readonly (readonly [name: string, value: string, why: string])[] = [
  ['appendonly', 'yes', 'a restart of Redis loses everything that waits in the queue'],
  ['appendfsync', 'always', 'a crash of the machine loses what was acknowledged in the last second'],
  ['maxmemory-policy', 'noeviction', 'Redis throws away waiting writes when its memory is full'],
];

async function weaknesses(client: Redis): Promise<readonly string[]> {
  const found: string[] = [];
  const replication = await unlessRefused(client.info('replication'));
  const [, replicas] = /^connected_slaves:([0-9]+)/m.exec(replication ?? '') ?? [];
  if (replicas === undefined) {
    found.push(
      'Redis does not let its replicas be counted: one that takes its place may lack acknowledged writes',
    );
  } else if (replicas !== '0') {
    found.push(
      `Redis has replicas (${replicas}): one that takes its place may lack the last acknowledged writes`,
    );
  }
  for (const [name, wanted, why] of REQUIRED_SETTINGS) {
    const actual = await readSetting(client, name);
    if (actual === undefined) {
      found.push(`Redis does not let its ${name} be read: make sure that it is "${wanted}"`);
    } else if (actual !== wanted) {
      found.push(`Redis has ${name} "${actual}" instead of "${wanted}": ${why}`);
    }
  }
  return found;
}

/** A setting of the server; undefined where the server refuses to tell (managed services do). */
async function readSetting(client: Redis, name: string): Promise<string | undefined> {
  const reply = (await unlessRefused(client.config('GET', name))) as unknown[] | undefined;
  return reply?.[1] === undefined ? undefined : String(reply[1]);
}

/** What the server answers; undefined where it refuses to. */
async function unlessRefused<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    // A reply that says no is an answer; anything else is about the connection.
    if ((error as Error).name === 'ReplyError') return undefined;
    throw error;
  }
}
