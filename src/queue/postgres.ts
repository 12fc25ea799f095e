/** The Postgres backend: BullMQ's tables in a schema of their own, beside Inlet's. */
import type { Telemetry } from 'bullmq';
import { createPostgresBackend, LATEST_SCHEMA_VERSION, Queue, runMigrations, Worker } from 'bullmq';
import pg from 'pg';
import { OperatorError } from '../errors.ts';
import type { Queryable } from '../store/database.ts';
import type { Migration } from '../store/migrate.ts';
import { latestVersion } from '../store/migrate.ts';
import type { SteadyClientConfig } from '../store/steady-client.ts';
import { SteadyClient } from '../store/steady-client.ts';
import type { Backend, LaneLoad, Producer } from './backend.ts';
import { PRODUCER_TIMEOUT_MS, tracedBy } from './backend.ts';
import { laneName } from './lane.ts';

/** The schema of BullMQ's tables. */
const QUEUE_SCHEMA = 'inlet_queue';

/** Longest wait for a worker's new connection, in milliseconds: then another one may find the server that has taken over. */
const CONNECT_MS = 4_000;

type PoolOptions = pg.PoolConfig & SteadyClientConfig;

export interface PostgresBackendOptions {
  readonly url: string;
  readonly queueName: string;
  /** Most connections of each queue and worker, beside the one on which a worker listens. */
  readonly poolSize: number;
  readonly onError: (error: Error) => void;
  /** Carries traces through jobs. */
  readonly telemetry?: Telemetry | undefined;
}

/** The statements with which BullMQ makes a transaction of its migrations. */
const OF_TRANSACTIONS: readonly string[] = ['BEGIN', 'COMMIT', 'ROLLBACK'];

/** Creates BullMQ's tables or brings them up to date. */
export const queueMigration: Migration = {
  name: 'bullmq',
  // BullMQ's own look would take a lock against all readers of its version each time.
  isPending: async (database) => (await queueSchemaVersion(database)) < LATEST_SCHEMA_VERSION,
  async apply(transaction) {
    const client = {
      async query(text: string, values: unknown[] = []) {
        // It is in a transaction already, whose waits for locks have limits.
        return { rows: OF_TRANSACTIONS.includes(text) ? [] : await transaction.query({ text, values }) };
      },
    };
    await runMigrations(client as unknown as Parameters<typeof runMigrations>[0], QUEUE_SCHEMA);
  },
};

/**
 * Makes sure that BullMQ's tables are at least as new as this code's BullMQ.
 * @throws OperatorError where they are older, or not there
 */
export async function requireCurrentQueueSchema(database: Queryable): Promise<void> {
  const found = await queueSchemaVersion(database);
  if (found < LATEST_SCHEMA_VERSION) {
    throw new OperatorError(
      `The queue's tables have version ${found}, and this Inlet needs ${LATEST_SCHEMA_VERSION}: run "inlet migrate" first.`,
    );
  }
}

function queueSchemaVersion(database: Queryable): Promise<number> {
  return latestVersion(database, QUEUE_SCHEMA, 'migration');
}

/**
 * BullMQ makes the connection on which it listens of pg's own client, whatever `Client` it is given for its pool, and
 * has no listener for its errors in the moment in which it is made, or while it is closed.
 */
const createSteadyBackend: typeof createPostgresBackend = (...options) => {
  const backend = createPostgresBackend(...options);
  Object.assign(backend.connection, { pgModule: { Client: SteadyClient } });
  return backend;
};

const OPTIONS_OF_URL = /([?&])options=([^&#]*)&?/;

/**
 * How BullMQ connects. It adds the search path to the options of the connection, of which those of the URL would take
 * the place. Its functions expect to wait for one another: a role whose transactions are serializable would have them fail.
 */
function connectionTo(url: string) {
  const [, , found = ''] = OPTIONS_OF_URL.exec(url) ?? [];
  return {
    Client: SteadyClient,
    connectionString: url.replace(OPTIONS_OF_URL, '$1'),
    options:
      `${decodeURIComponent(found.replaceAll('+', ' '))} -c default_transaction_isolation=read\\ committed`.trim(),
  };
}

export function postgresBackend(options: PostgresBackendOptions): Backend {
  const connection = {
    ...connectionTo(options.url),
    max: options.poolSize,
    connectionTimeoutMillis: CONNECT_MS,
    // A connection that has gone silent must not hold the worker up for ever.
    query_timeout: 30_000,
    onTrouble: options.onError,
  } satisfies PoolOptions;
  return {
    openProducer: () => openProducer(options),
    createWorker: (lane, processor, workerOptions) =>
      new Worker(
        laneName(options.queueName, lane),
        processor,
        {
          ...workerOptions,
          ...tracedBy(options.telemetry),
          connection: { ...connection, schema: QUEUE_SCHEMA },
        },
        createSteadyBackend,
      ) as unknown as Worker,
  };
}

const TAKE_STAMP =
  'BEGIN; SET LOCAL synchronous_commit = off; SELECT stamp, clock, last FROM inlet.take_stamp(); COMMIT';

/** To the clock, or above a stamp that is known to have been acknowledged. */
const RAISE_STAMP = `
  SELECT setval('inlet.stamps', CASE WHEN stamp > $1::bigint THEN stamp ELSE $1::bigint + 10000000 END) AS last
  FROM inlet.take_stamp()`;

function openProducer({ url, queueName, poolSize, onError, telemetry }: PostgresBackendOptions): Producer {
  const limits = {
    ...connectionTo(url),
    connectionTimeoutMillis: PRODUCER_TIMEOUT_MS,
    query_timeout: PRODUCER_TIMEOUT_MS,
    // The server gives up too, so that a write which was answered with 503 is not added later on. (Poolers may refuse it
    // as a setting of the connection, as they do BullMQ's search_path, and LISTEN: the queue needs Postgres itself.)
    statement_timeout: PRODUCER_TIMEOUT_MS,
    onTrouble: onError,
  } satisfies PoolOptions;
  const pool = new pg.Pool({ ...limits, max: Math.ceil(poolSize / 2) });
  pool.on('error', onError);
  return {
    isConnected: () => true,
    createQueue: (line) =>
      new Queue(
        laneName(queueName, line),
        { connection: { ...limits, schema: QUEUE_SCHEMA, max: poolSize }, ...tracedBy(telemetry) },
        createSteadyBackend,
      ) as unknown as Queue,
    ping: () => pool.query('SELECT 1'),
    async readStamp() {
      // Several statements in one message, of which pg gives a list of results. What is taken need not be on disk before
      // the job is: the commit of the job comes later in the same log.
      const results = (await pool.query(TAKE_STAMP)) as unknown as pg.QueryResult<Record<string, string>>[];
      const row = results.flatMap(({ rows }) => rows)[0];
      const last = Number(row?.['last']);
      return { stamp: Number(row?.['stamp']), acceptedAt: Number(row?.['clock']), last, own: last };
    },
    async addStamped(stamp, _own, add) {
      await add();
      return stamp;
    },
    async claim(floor) {
      const result = await pool.query<{ last: string }>(RAISE_STAMP, [floor]);
      return Number(result.rows[0]?.last);
    },
    async marks() {
      const result = await pool.query<{ last: string }>('SELECT last_value AS last FROM inlet.stamps');
      // A queue that lies beside the objects is restored with them: that it is an older one can't be told by it.
      const last = Number(result.rows[0]?.last);
      return { ...{ born: 0, last, stored: 0 }, ...{ told: last, own: last } };
    },
    mark: async () => undefined,
    // Disks have no mark that could be watched over SQL; a full one refuses the job, which is a 503 as well.
    hasRoom: async () => true,
    laneLoad: (lane) => laneLoad(pool, laneName(queueName, lane)),
    memory: async () => undefined,
    // A pool's connections come and go all the time: what is found every few seconds has to do.
    onConnectionChange: () => undefined,
    async weaknesses() {
      const result = await pool.query<{ name: string }>(
        `SELECT name FROM pg_settings
         WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') AND setting = 'off'`,
      );
      return result.rows.map(
        ({ name }) => `Postgres has ${name} off: a crash of the machine can lose what was acknowledged`,
      );
    },
    close: () => pool.end(),
  };
}

/**
 * Asks the table itself: BullMQ's own count and range are two passes over it, and its range gives the newest jobs
 * first whatever it is asked for. A queue of 10,000 batches takes 2 ms. Ids sort by time in the collation "C".
 */
async function laneLoad(pool: pg.Pool, queueName: string): Promise<LaneLoad> {
  const result = await pool.query<{ count: number; oldest: string | null }>({
    text: `SELECT count(*)::integer AS count, min(id COLLATE "C") AS oldest FROM ${QUEUE_SCHEMA}.job
           WHERE queue = $1 AND state IN ('waiting', 'delayed', 'active', 'failed')`,
    values: [queueName],
  });
  const { count = 0, oldest } = result.rows[0] ?? {};
  return { count, oldest: oldest == null ? [] : [oldest] };
}
