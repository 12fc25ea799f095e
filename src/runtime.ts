/** What the roles are built of: their settings, and what each of them opens. */
import type { Config } from './config.ts';
import type { PoolSizes } from './connections.ts';
import { poolSizes } from './connections.ts';
import { bullmqProvider } from './queue/bullmq.ts';
import { postgresBackend, queueMigration, requireCurrentQueueSchema } from './queue/postgres.ts';
import type { QueueProvider } from './queue/queue.ts';
import { redisBackend } from './queue/redis.ts';
import { retryWhileUnavailable } from './startup.ts';
import { Database } from './store/database.ts';
import { describeWait } from './store/lock-wait.ts';
import { migrate, requireCurrentSchema } from './store/migrate.ts';
import { requireSessions } from './store/sessions.ts';
import type { Metrics } from './telemetry/metrics.ts';
import { Throttle } from './telemetry/throttle.ts';
import type { Tracing } from './telemetry/tracing/types.ts';
import type { Log } from './telemetry.ts';
import { errorReporter } from './telemetry.ts';
import { VERSION } from './version.ts';

/** The queues that there are: migrations make what each of them needs in Postgres. */
const QUEUE_NAMES = ['inlet', 'inlet-webhooks', 'inlet-evaluations'] as const;

/** Settings with the database known: given, or that of the embedded Postgres. */
export interface RuntimeConfig extends Config {
  readonly databaseUrl: string;
  /** Where they are to be smaller than usual. */
  readonly pools?: PoolSizes;
}

/** What an API and a worker share where they are one process. */
export interface SharedParts {
  readonly metrics?: Metrics;
  /** Undefined: there are no traces. */
  readonly tracing?: Tracing | undefined;
}

/** Makes the metrics of this process. (What they are made with takes a while to load, and commands don't need it.) */
export async function createMetrics(): Promise<Metrics> {
  const { Metrics: Made } = await import('./telemetry/metrics.ts');
  return new Made(VERSION);
}

/**
 * Applies migrations: Inlet's, and BullMQ's where the queue lives in Postgres. Waits for Postgres to come up, and for
 * sessions that hold locks, which it names.
 * @param stopping ends these waits with an AbortError
 * @returns how many were applied
 * @throws OperatorError where they can't be
 */
export async function runMigrations(
  config: RuntimeConfig,
  log: Log,
  stopping?: AbortSignal,
): Promise<number> {
  const throttle = new Throttle();
  return retryWhileUnavailable(log, stopping, () =>
    migrate({
      databaseUrl: config.databaseMigrationUrl ?? config.databaseUrl,
      ...(config.databaseMigrationUrl ? { runtime: { url: config.databaseUrl, queues: QUEUE_NAMES } } : {}),
      further: config.redisUrl ? [] : [queueMigration],
      onApplied: (migration) => log.info({ migration }, 'applied a migration'),
      onWait(migration, wait) {
        const kind = [migration, ...wait.blockers.map(({ pid }) => pid)].join();
        throttle.tell(kind, () =>
          log.warn({ migration, ...wait }, `a migration waits for a lock: ${describeWait(wait)}`),
        );
      },
      stopping,
    }),
  );
}

/** Opens the connections to Postgres. */
export function openDatabase(
  config: RuntimeConfig,
  log: Log,
  { pool, queryTimeoutMs }: { pool: Exclude<keyof PoolSizes, 'queue'>; queryTimeoutMs: number },
): Database {
  const { databaseUrl: url, historyLimit, pools = poolSizes(config) } = config;
  return new Database({
    ...{ url, queryTimeoutMs, historyLimit },
    poolSize: pools[pool],
    onError: errorReporter(log, 'the connections to Postgres report an error'),
  });
}

/** Settings with the queue known as well: those of processes that use it. */
export interface QueueConfig extends RuntimeConfig {
  /** Which queue is this Inlet's. */
  readonly queueId: string;
}

interface QueueOptions {
  readonly queueName?: (typeof QUEUE_NAMES)[number];
  /** Told of errors as often as they come. */
  readonly onEachError?: () => void;
  readonly telemetry?: Tracing['queue'] | undefined;
}

/** Opens nothing yet: what is opened, the provider's own calls do. */
export function queueProvider(
  config: QueueConfig,
  log: Log,
  { queueName = 'inlet', onEachError, telemetry }: QueueOptions = {},
): QueueProvider {
  const { redisUrl, redisPrefix, databaseUrl, queueId, pools = poolSizes(config) } = config;
  const report = errorReporter(log, 'the queue reports an error');
  const onError = (error: Error): void => {
    onEachError?.();
    report(error);
  };
  const backend = redisUrl
    ? redisBackend({ url: redisUrl, queueName, prefix: redisPrefix, queueId, onError, telemetry })
    : postgresBackend({ url: databaseUrl, queueName, poolSize: pools.queue, onError, telemetry });
  return bullmqProvider(backend, onError);
}

/**
 * Makes sure that the tables are at least as new as this code, and that the queue can live where it is to.
 * @throws OperatorError where they are older, or it can't
 */
export async function requireSchemas(
  { redisUrl, databaseUrl }: RuntimeConfig,
  database: Database,
): Promise<void> {
  await requireCurrentSchema(database);
  if (redisUrl) return;
  await requireCurrentQueueSchema(database);
  await requireSessions(databaseUrl, database);
}
