/** A worker: builds what it needs out of the modules, and closes it in reverse order. */
import type { Running } from '../closing.ts';
import { Closing } from '../closing.ts';
import { importsAtOnce } from '../connections.ts';
import type { Batch } from '../domain/batch.ts';
import { createBatchIds, requestIdAt } from '../domain/request-id.ts';
import { buildHealthServer } from '../http/server.ts';
import { LoadSampler } from '../ingest/load-sampler.ts';
import { LossWatch } from '../ingest/loss-watch.ts';
import { Sampler } from '../ingest/sampler.ts';
import { canShare, storeBatch, storeTogether } from '../ingest/store-batch.ts';
import { StoreLine } from '../ingest/store-line.ts';
import { batchHandler } from '../ingest/worker.ts';
import type { WatchLimits } from '../ingest/worker-watch.ts';
import { WATCH_LIMITS, WorkerWatch } from '../ingest/worker-watch.ts';
import { laneOf } from '../queue/lane.ts';
import { findQueueId, refuseForeign } from '../queue-identity.ts';
import { readiness } from '../readiness.ts';
import type { RuntimeConfig, SharedParts } from '../runtime.ts';
import { createMetrics, openDatabase, queueProvider, requireSchemas } from '../runtime.ts';
import { listen, retryWhileUnavailable } from '../startup.ts';
import type { Database } from '../store/database.ts';
import { countAllFailed } from '../store/failed-list.ts';
import { deleteExpired } from '../store/retention.ts';
import { keepSchedule } from '../store/schedule.ts';
import type { Log } from '../telemetry.ts';
import { errorReporter } from '../telemetry.ts';
import { startEvaluation } from './evaluation.ts';
import type { WebhookParts } from './webhooks.ts';
import { startWebhooks } from './webhooks.ts';

/** How often it is looked for what is too old, in milliseconds. */
const RETENTION_INTERVAL_MS = 60 * 60_000;

/** How often failed objects are counted, in milliseconds. */
const FAILED_INTERVAL_MS = 15_000;

/** For each transaction at a time so many batches are in hand: what waits for one is there to share the next. */
const BATCHES_IN_HAND = 4;

/** Longest time that batches in hand, and a run of retention, may take when the worker stops, in milliseconds. */
const WORKER_GRACE_MS = 8_000;
const RETENTION_GRACE_MS = 2_000;

/** A running worker. */
export interface RunningWorker extends Running {
  /** What only a restart would mend; undefined where there is nothing of that kind. */
  readonly problem: () => string | undefined;
}

export interface WorkerParts extends SharedParts {
  /** When the worker counts as stuck. */
  readonly limits?: WatchLimits;
  readonly webhooks?: WebhookParts;
}

/**
 * Starts a worker.
 * @param healthPort where it tells how it is; undefined where the API of the same process does
 * @throws OperatorError where the schema is too old or the port is taken
 */
export async function startWorker(
  runtime: RuntimeConfig,
  log: Log,
  healthPort: number | undefined,
  stopping?: AbortSignal,
  parts: WorkerParts = {},
): Promise<RunningWorker> {
  const closing = new Closing(log);
  const { workerConcurrency } = runtime;
  const imports = importsAtOnce(workerConcurrency);
  // A replay goes through its objects one transaction after the other.
  const inHand = { writes: workerConcurrency * BATCHES_IN_HAND, imports, replays: 1 };
  try {
    const metrics = parts.metrics ?? (await createMetrics());
    if (!parts.metrics) closing.add('metrics', () => metrics.close());
    const database = openDatabase(runtime, log, { pool: 'worker', queryTimeoutMs: 60_000 });
    closing.add('database', () => database.close());
    metrics.pool('worker', () => database.pool);
    await retryWhileUnavailable(log, stopping, () => requireSchemas(runtime, database));
    const config = { ...runtime, queueId: await findQueueId(runtime, database, log, stopping) };

    const watch = new WorkerWatch({
      queue: { takeable: (lane) => queue.takeable(lane) },
      concurrency: inHand,
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

    const losses = new LossWatch({ queueId: config.queueId, database, queue, log });
    await losses.start().catch(refuseForeign);
    closing.add('look for lost writes', () => losses.close());

    const webhooks = startWebhooks(config, log, metrics, parts.webhooks);
    closing.add('webhooks', () => webhooks.close(), WORKER_GRACE_MS + 2_000);
    const onEvents = webhooks.wake;
    const onWaiting = await startEvaluation({
      ...{ config, log, database, closing, onEvents, telemetry: parts.tracing?.queue },
      metrics: (waiting) => metrics.evaluation(waiting),
    });

    const observer = metrics.worker({ inHand: (lane) => watch.inHand(lane), problem });
    const told = onWaiting ? { onEvents, onWaiting } : { onEvents };
    const alone = (batch: Batch, onProgress: () => void) =>
      storeBatch(database, batch, { onProgress, ...told });
    const stores = {
      alone,
      together: (batches: readonly Batch[], onProgress: () => void) =>
        storeTogether(database, batches, { onProgress, ...told }),
      canShare,
    };
    const writes = new StoreLine(stores, config.workerConcurrency, inHand.writes);
    const handler = batchHandler(
      // Chunks and replays are large enough, and have connections of their own.
      (batch, onProgress) =>
        laneOf(batch) === 'writes' ? writes.store(batch, onProgress) : alone(batch, onProgress),
      log,
      {
        ...observer,
        onStored(batch, ...outcome) {
          losses.stored();
          observer.onStored?.(batch, ...outcome);
        },
        onProgress: (batch) => watch.onProgress(batch),
      },
    );
    const consumer = provider.consume(watch.handler(handler), { concurrency: inHand, queue });
    const stop = () => Promise.all([consumer.close(WORKER_GRACE_MS), webhooks.close()]);
    closing.add('worker', stop, WORKER_GRACE_MS + 2_000);

    const failed = new Sampler(() => countAllFailed(database), FAILED_INTERVAL_MS);
    closing.add('count of failed objects', async () => failed.close());
    metrics.failedObjects(() => failed.latest);

    const retention = keepSchedule(
      database,
      {
        name: 'retention',
        everyMs: RETENTION_INTERVAL_MS,
        onError: errorReporter(log, 'could not delete what is too old: it is tried again next time'),
      },
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
        readiness: readiness(queue, database, ['queue', 'store'], { losses: () => losses.warnings }),
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

async function runRetention(
  { requestRetention, historyRetention, webhookRetention }: RuntimeConfig,
  database: Database,
  stopping: AbortSignal,
  log: Log,
): Promise<void> {
  const times = { requests: requestRetention, revisions: historyRetention, deliveries: webhookRetention };
  const deleted = await deleteExpired(database, times, stopping);
  if (Object.values(deleted).some((count) => count > 0)) log.info(deleted, 'deleted what was too old');
}
