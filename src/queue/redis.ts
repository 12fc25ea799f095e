/** The Redis (or Valkey) backend. */
import type { Telemetry, WorkerOptions } from 'bullmq';
import { createRedisBackend, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { Backend, LaneLoad, Producer } from './backend.ts';
import { PENDING, PRODUCER_TIMEOUT_MS, tracedBy } from './backend.ts';
import { laneName } from './lane.ts';
import { QueueUnavailableError } from './queue.ts';
import { MemoryWatch } from './redis-memory.ts';

export interface RedisBackendOptions {
  readonly url: string;
  readonly queueName: string;
  /** What all keys begin with. */
  readonly prefix: string;
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
    createWorker(lane, processor, workerOptions) {
      const name = laneName(options.queueName, lane);
      const worker = new Worker(
        name,
        processor,
        {
          ...workerOptions,
          prefix: options.prefix,
          ...tracedBy(options.telemetry),
          connection: {
            url: options.url,
            // A worker has nothing better to do than to wait for its Redis to come back.
            maxRetriesPerRequest: null,
            retryStrategy: reconnectDelay,
            socketTimeout: WORKER_TIMEOUT_MS,
          },
        },
        createWorkerBackend,
      );
      shortenExpiries(worker, `${options.prefix}:${name}:`, workerOptions);
      return worker;
    },
  };
}

function openProducer({ url, queueName, prefix, onError, telemetry }: RedisBackendOptions): Producer {
  const client = new Redis(url, {
    // Fail fast: a client that waits for its answer must get it in seconds, and a write that was answered
    // with 503 must not be sent after all when Redis is back.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: PRODUCER_TIMEOUT_MS,
    // A stopped Redis keeps its sockets open; commands sent to it would pile up without this.
    socketTimeout: PRODUCER_TIMEOUT_MS,
    connectTimeout: PRODUCER_TIMEOUT_MS,
    retryStrategy: reconnectDelay,
  });
  client.on('error', onError);
  let connections = 0;
  client.on('close', () => {
    connections += 1;
  });
  const stampKey = `${prefix}:${queueName}:stamp`;
  const memory = new MemoryWatch(client);
  return {
    isConnected: () => client.status === 'ready',
    createQueue: (lane) =>
      new Queue(
        laneName(queueName, lane),
        { connection: client, prefix, ...tracedBy(telemetry) },
        createRedisBackend,
      ),
    ping: () => client.ping(),
    async readStamp() {
      const [[seconds, micros], last] = await together(client, () =>
        Promise.all([client.time(), client.zscore(stampKey, LAST_STAMP)]),
      );
      const acceptedAt = Number(seconds) * 1_000_000 + Number(micros);
      return { acceptedAt, stamp: Math.max(acceptedAt, Number(last ?? 0) + 1) };
    },
    async addStamped(stamp, add) {
      const before = connections;
      // Raised before the job is added, and never lowered: two APIs may cross.
      const raise = () => client.zadd(stampKey, 'GT', stamp, LAST_STAMP);
      await together(client, () => Promise.all([raise(), add()]));
      if (connections !== before)
        throw new QueueUnavailableError('the connection to Redis was replaced meanwhile');
    },
    hasRoom: () => memory.hasRoom(),
    tryWrite: () => client.set(`${prefix}:trial`, '', 'EX', TRIAL_SECONDS),
    laneLoad: (_lane, queue) => laneLoad(queue),
    memory: () => memory.load(),
    onConnectionChange(listener) {
      client.on('ready', () => listener(true));
      client.on('close', () => listener(false));
    },
    weaknesses: () => weaknesses(client),
    async close() {
      client.disconnect();
    },
  };
}

/** How long the key of a trial stays, in seconds. */
const TRIAL_SECONDS = 60;

/**
 * Redis keeps when a key expires as a time of its clock. Where that has stepped back, locks of workers that died, and the mark
 * of who looks for such locks, would stay for as long as the step was.
 */
const SHORTEN = `
  local function shorten(key, most)
    if redis.call('PTTL', key) > tonumber(most) then redis.call('PEXPIRE', key, most) end
  end
  shorten(KEYS[1] .. 'stalled-check', ARGV[1])
  for _, id in ipairs(redis.call('LRANGE', KEYS[1] .. 'active', 0, -1)) do
    shorten(KEYS[1] .. id .. ':lock', ARGV[2])
  end`;

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
      .then((client) => (client as unknown as Redis).eval(SHORTEN, 1, keys, stalledInterval, lockDuration))
      // Where Redis is away, there is time for it when it is back.
      .catch(() => undefined);
  }, stalledInterval);
  timer.unref();
  worker.once('closing', () => clearInterval(timer));
}

/** The greatest stamp that was added: the score of this member, since a sorted set can raise without ever lowering. */
const LAST_STAMP = 'last';

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
  try {
    const reply = (await client.config('GET', name)) as unknown[];
    return reply[1] === undefined ? undefined : String(reply[1]);
  } catch (error) {
    // A reply that says no is an answer about the setting; anything else is about the connection.
    if ((error as Error).name === 'ReplyError') return undefined;
    throw error;
  }
}
