/** Builds what a role needs out of the modules, and closes it in reverse order. */
import { openAccessControl } from './access/access.ts';
import type { Running } from './closing.ts';
import { Closing } from './closing.ts';
import type { Config } from './config.ts';
import { ByteBudget } from './domain/byte-budget.ts';
import { createBatchIds, requestIdAt } from './domain/request-id.ts';

import { Turns } from './domain/turns.ts';
import { keepDurable } from './durability.ts';
import type { HttpLimits } from './http/limits.ts';
import type { OpenApiDocument } from './http/openapi/document.ts';
import { openApiDocument } from './http/openapi/document.ts';
import { buildHealthServer, buildServer } from './http/server.ts';
import { GroupCommit } from './ingest/group-commit.ts';
import { LoadSampler } from './ingest/load-sampler.ts';
import { LongLines } from './ingest/long-lines.ts';
import { observedQueue } from './ingest/observed-queue.ts';

import { receiveUpload } from './ingest/receive-upload.ts';
import { requestReads } from './ingest/request-reads.ts';
import { storeBatch } from './ingest/store-batch.ts';
import { batchHandler } from './ingest/worker.ts';
import type { WatchLimits } from './ingest/worker-watch.ts';
import { WATCH_LIMITS, WorkerWatch } from './ingest/worker-watch.ts';
import { WriteGate } from './ingest/write-gate.ts';
import { bullmqProvider } from './queue/bullmq.ts';
import { migratePostgresQueue, postgresBackend, requireCurrentQueueSchema } from './queue/postgres.ts';
import type { QueueProvider } from './queue/queue.ts';
import { redisBackend } from './queue/redis.ts';
import { readiness } from './readiness.ts';
import { listen, retryWhileUnavailable } from './startup.ts';
import { Database } from './store/database.ts';
import { faultKind } from './store/faults.ts';
import { createImport } from './store/imports.ts';
import { migrate, requireCurrentSchema } from './store/migrate.ts';
import { findObjects, listObjects } from './store/object-lists.ts';
import { findObject } from './store/objects.ts';
import { deleteExpired } from './store/retention.ts';
import { listRevisions } from './store/revisions.ts';
import { sharedSecret } from './store/secrets.ts';
import { settingsAccess } from './store/settings.ts';
import type { Metrics } from './telemetry/metrics.ts';
import type { Tracing } from './telemetry/tracing.ts';
import type { Log } from './telemetry.ts';
import { errorReporter } from './telemetry.ts';
import { VERSION } from './version.ts';

/** Chunks of imports that are added to the queue at one time; more would take up memory and not be faster. */
const MAX_CHUNKS_ENQUEUEING = 4;

const QUEUE_NAME = 'inlet';
const RETENTION_QUEUE_NAME = 'inlet-retention';

/** How often it is looked for what is too old, in milliseconds. */
const RETENTION_INTERVAL_MS = 60 * 60_000;

/** Longest time that each step of a stop may take, in milliseconds; together they stay below 30 s. */
const HTTP_GRACE_MS = 8_000;
const WORKER_GRACE_MS = 8_000;
const RETENTION_GRACE_MS = 2_000;

/** Settings with the database known: given, or that of the embedded Postgres. */
export interface RuntimeConfig extends Config {
  readonly databaseUrl: string;
}

/** The running API. */
export interface RunningApi extends Running {
  /** Where it listens. */
  readonly url: string;
}

/** A running worker. */
export interface RunningWorker extends Running {
  /** What only a restart would mend; undefined where there is nothing of that kind. */
  readonly problem: () => string | undefined;
}

/** What an API and a worker share where they are one process. */
interface SharedParts {
  readonly metrics?: Metrics;
  /** Undefined: there are no traces. */
  readonly tracing?: Tracing | undefined;
}

export interface ApiParts extends SharedParts {
  /** The worker of this process, of which the API tells how it is. */
  readonly worker?: RunningWorker;
  /** Where they are to be others than the usual ones. */
  readonly limits?: Partial<HttpLimits>;
}

export interface WorkerParts extends SharedParts {
  /** When the worker counts as stuck. */
  readonly limits?: WatchLimits;
}

/** Makes the metrics of this process. (What they are made with takes a while to load, and commands don't need it.) */
export async function createMetrics(): Promise<Metrics> {
  const { Metrics: Made } = await import('./telemetry/metrics.ts');
  return new Made(VERSION);
}

/** Applies migrations: Inlet's, and BullMQ's where the queue lives in Postgres. Waits for Postgres to come up. */
export async function runMigrations(
  config: RuntimeConfig,
  log: Log,
  stopping?: AbortSignal,
): Promise<number> {
  return retryWhileUnavailable(log, stopping, () =>
    migrate({
      databaseUrl: config.databaseUrl,
      onApplied: (name) => log.info({ migration: name }, 'applied a migration'),
      ...(config.redisUrl ? {} : { andThen: migratePostgresQueue }),
    }),
  );
}

/**
 * Starts the API.
 * @param keys API keys with access to everything, beside those of the database
 * @param stopping ends a wait for Postgres
 * @param parts what is shared with the rest of the process
 * @throws OperatorError where the schema is too old, the port is taken, or the queue isn't durable and must be
 */
export async function startApi(
  config: RuntimeConfig,
  keys: readonly string[],
  log: Log,
  stopping?: AbortSignal,
  parts: ApiParts = {},
): Promise<RunningApi> {
  const closing = new Closing(log);
  try {
    const metrics = parts.metrics ?? (await createMetrics());
    if (!parts.metrics) closing.add('metrics', () => metrics.close());
    const database = openDatabase(config, log, { poolSize: 10, queryTimeoutMs: 4_000 });
    closing.add('database', () => database.close());
    metrics.pool('api', () => database.pool);
    await checkApiSchema(config, database, log, stopping);

    const queue = queueProvider(config, log, { telemetry: parts.tracing?.queue }).openQueue();
    closing.add('queue', () => queue.close());
    await keepDurable(queue, config.requireDurableQueue, log);
    const gate = new WriteGate(queue, { high: config.queueHighMark, low: config.queueLowMark }, log);
    closing.add('write gate', async () => gate.close());

    const newBatchId = createBatchIds();
    const { onAnswered, enqueues } = metrics.api(() => gate.refusal !== undefined);
    metrics.queue(() => gate.load);
    const observed = observedQueue(queue, enqueues);
    const groupCommit = new GroupCommit(observed, newBatchId, parts.tracing?.batches);
    closing.add('requests in line', () => groupCommit.idle(), 5_000);

    const access = await openAccessControl({ ...config, fixedKeys: keys, log });
    closing.add('API keys', () => access.close());

    const uploads = {
      ...{ database, queue: observed, newBatchId, log, maxLineBytes: config.bodyLimit },
      longLines: new LongLines(),
      enqueueing: new Turns(MAX_CHUNKS_ENQUEUEING),
    };
    let url = '';
    let document: OpenApiDocument | undefined;
    const publicUrl = (): string => config.publicUrl ?? url;
    const server = buildServer({
      log,
      onAnswered,
      metricsText: () => metrics.text(),
      metricsAccess: config.metricsAccess,
      newRequestId: () => requestIdAt(newBatchId(), 0),
      ...access,
      submit: (submission) => groupCommit.submit(submission),
      writeRefusal: () => gate.refusal,
      bodyLimit: config.bodyLimit,
      bodyBudget: new ByteBudget(config.bodyMemory),
      trustProxy: config.trustProxy,
      limits: parts.limits,
      maxObjects: config.maxObjects,
      ...requestReads(database, queue),
      ...settingsAccess(database),
      signingSecret: sharedSecret(database, 'signed URLs'),
      publicUrl,
      openApiDocument: () => {
        document ??= openApiDocument(publicUrl(), VERSION);
        return document;
      },
      findObject: (namespace, id) => findObject(database, namespace, id),
      findObjects: (namespace, ids) => findObjects(database, namespace, ids),
      listObjects: (namespace, after, limit) => listObjects(database, namespace, after, limit),
      listRevisions: (namespace, id, before, limit) => listRevisions(database, namespace, id, before, limit),
      objectUrl: (namespace, id) => `${publicUrl()}/v1/data/${namespace}/objects/${encodeURIComponent(id)}`,
      createImport: (created) => createImport(database, created),
      receiveUpload: (incoming) => receiveUpload(uploads, incoming),
      readiness: readiness(queue, database, config.redisUrl ? ['queue'] : ['queue', 'store'], {
        warning: () => gate.warning,
        requireDurable: config.requireDurableQueue,
      }),
      ...(parts.worker ? { problem: parts.worker.problem } : {}),
    });
    closing.add('API', () => server.close(), HTTP_GRACE_MS);
    url = await listen(server, config.host, config.port, 'PORT');
    log.info({ url }, 'the API listens');
    return { url, close: () => closing.close() };
  } catch (error) {
    await closing.close();
    throw error;
  }
}

/**
 * Starts a worker.
 * @param healthPort where it tells how it is; undefined where the API of the same process does
 * @throws OperatorError where the schema is too old or the port is taken
 */
export async function startWorker(
  config: RuntimeConfig,
  log: Log,
  healthPort: number | undefined,
  stopping?: AbortSignal,
  parts: WorkerParts = {},
): Promise<RunningWorker> {
  const closing = new Closing(log);
  // Files leave half of what a worker can do to single writes, and use it up themselves when there are none.
  const importConcurrency = Math.ceil(config.workerConcurrency / 2);
  try {
    const metrics = parts.metrics ?? (await createMetrics());
    if (!parts.metrics) closing.add('metrics', () => metrics.close());
    const database = openDatabase(config, log, {
      // One more for how it is, and one for retention.
      poolSize: config.workerConcurrency + importConcurrency + 2,
      queryTimeoutMs: 60_000,
    });
    closing.add('database', () => database.close());
    metrics.pool('worker', () => database.pool);
    await retryWhileUnavailable(log, stopping, () => requireSchemas(config, database));

    const watch = new WorkerWatch({
      queue: { takeable: (lane) => queue.takeable(lane) },
      concurrency: { writes: config.workerConcurrency, imports: importConcurrency },
      limits: parts.limits ?? WATCH_LIMITS,
    });
    closing.add('watch', async () => watch.close());
    const problem = (): string | undefined => watch.problem();
    const provider = queueProvider(config, log, {
      onEachError: () => watch.onQueueError(),
      telemetry: parts.tracing?.queue,
    });
    const queue = provider.openQueue();
    closing.add('queue', () => queue.close());

    const observer = metrics.worker({ inHand: (lane) => watch.inHand(lane), problem });
    const handler = batchHandler((batch, onProgress) => storeBatch(database, batch, onProgress), log, {
      ...observer,
      onProgress: (batch) => watch.onProgress(batch),
    });
    const consumer = provider.consume(watch.handler(handler), {
      concurrency: config.workerConcurrency,
      importConcurrency,
    });
    closing.add('worker', () => consumer.close(WORKER_GRACE_MS), WORKER_GRACE_MS + 2_000);

    const retention = queueProvider(config, log, { queueName: RETENTION_QUEUE_NAME }).scheduleEvery(
      'retention',
      RETENTION_INTERVAL_MS,
      (stopping) => runRetention(config, database, stopping, log),
    );
    closing.add('retention', () => retention.close(RETENTION_GRACE_MS), RETENTION_GRACE_MS + 2_000);

    if (healthPort !== undefined) {
      const sampler = new LoadSampler(queue, () => undefined);
      closing.add('sampler', async () => sampler.close());
      metrics.queue(() => sampler.latest);
      const newBatchId = createBatchIds();
      const server = buildHealthServer({
        log,
        newRequestId: () => requestIdAt(newBatchId(), 0),
        readiness: readiness(queue, database, ['queue', 'store']),
        problem,
        metricsText: () => metrics.text(),
      });
      closing.add('health server', () => server.close());
      const url = await listen(server, config.host, healthPort, 'INLET_WORKER_PORT');
      log.info({ url }, 'the worker tells here how it is');
    }
    log.info({ concurrency: config.workerConcurrency }, 'the worker runs');
    return { problem, close: () => closing.close() };
  } catch (error) {
    await closing.close();
    throw error;
  }
}

function openDatabase(
  { databaseUrl, historyLimit }: RuntimeConfig,
  log: Log,
  limits: { poolSize: number; queryTimeoutMs: number },
): Database {
  return new Database({
    url: databaseUrl,
    ...limits,
    historyLimit,
    onError: errorReporter(log, 'lost an idle connection to Postgres'),
  });
}

async function runRetention(
  { requestRetention, historyRetention }: RuntimeConfig,
  database: Database,
  stopping: AbortSignal,
  log: Log,
): Promise<void> {
  try {
    const times = { requests: requestRetention, revisions: historyRetention };
    const deleted = await deleteExpired(database, times, stopping);
    if (deleted.requests > 0 || deleted.revisions > 0) log.info(deleted, 'deleted what was too old');
  } catch (err) {
    log.warn({ err }, 'could not delete what is too old: it is tried again next time');
  }
}

interface QueueOptions {
  readonly queueName?: string;
  /** Told of errors as often as they come. */
  readonly onEachError?: () => void;
  readonly telemetry?: Tracing['queue'] | undefined;
}

function queueProvider(
  { redisUrl, redisPrefix, databaseUrl }: RuntimeConfig,
  log: Log,
  { queueName = QUEUE_NAME, onEachError, telemetry }: QueueOptions = {},
): QueueProvider {
  const report = errorReporter(log, 'the queue reports an error');
  const onError = (error: Error): void => {
    onEachError?.();
    report(error);
  };
  const backend = redisUrl
    ? redisBackend({ url: redisUrl, queueName, prefix: redisPrefix, onError, telemetry })
    : postgresBackend({ url: databaseUrl, queueName, onError, telemetry });
  return bullmqProvider(backend, onError);
}

async function requireSchemas({ redisUrl }: RuntimeConfig, database: Database): Promise<void> {
  await requireCurrentSchema(database);
  if (!redisUrl) await requireCurrentQueueSchema(database);
}

/**
 * With its queue on Redis the API takes writes while Postgres is down, also when it is started then; whether
 * the schema is new enough matters to workers and reads only, and is looked at again by the worker.
 */
async function checkApiSchema(
  config: RuntimeConfig,
  database: Database,
  log: Log,
  stopping: AbortSignal | undefined,
): Promise<void> {
  if (!config.redisUrl) return retryWhileUnavailable(log, stopping, () => requireSchemas(config, database));
  try {
    await requireSchemas(config, database);
  } catch (err) {
    if (faultKind(err) !== 'infrastructure') throw err;
    log.warn({ err }, 'Postgres cannot be reached: writes are taken into the queue, reads get 503');
  }
}
