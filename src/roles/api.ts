/** The API: builds what it needs out of the modules, and closes it in reverse order. */
import { openAccessControl } from '../access/access.ts';
import type { Running } from '../closing.ts';
import { Closing } from '../closing.ts';
import { isLoopback } from '../config/values.ts';
import { ByteBudget } from '../domain/byte-budget.ts';
import { objectUrl } from '../domain/object-url.ts';
import { createBatchIds, requestIdAt } from '../domain/request-id.ts';
import { Turns } from '../domain/turns.ts';
import { keepDurable } from '../durability.ts';
import { Drain } from '../http/drain.ts';
import type { HttpLimits } from '../http/limits.ts';
import type { OpenApiDocument } from '../http/openapi/document.ts';
import { openApiDocument } from '../http/openapi/document.ts';
import { buildServer } from '../http/server.ts';
import { failedObjects } from '../ingest/failed-objects.ts';
import { GroupCommit } from '../ingest/group-commit.ts';
import { LongLines } from '../ingest/long-lines.ts';
import { LossWatch } from '../ingest/loss-watch.ts';
import { observedQueue } from '../ingest/observed-queue.ts';
import { receiveUpload } from '../ingest/receive-upload.ts';
import { requestReads } from '../ingest/request-reads.ts';
import { WriteGate } from '../ingest/write-gate.ts';
import { findQueueId, refuseForeign } from '../queue-identity.ts';
import { readiness } from '../readiness.ts';
import type { RuntimeConfig, SharedParts } from '../runtime.ts';
import { createMetrics, openDatabase, queueProvider, requireSchemas } from '../runtime.ts';
import { listen, refuseMistake, retryWhileUnavailable } from '../startup.ts';
import type { Database } from '../store/database.ts';
import { faultKind } from '../store/faults.ts';
import { createImport } from '../store/imports.ts';
import { findObjects, listObjects } from '../store/object-lists.ts';
import { findObject } from '../store/objects.ts';
import { listRevisions } from '../store/revisions.ts';
import { sharedSecret } from '../store/secrets.ts';
import { settingsAccess } from '../store/settings.ts';
import type { Log } from '../telemetry.ts';
import { VERSION } from '../version.ts';
import { createAddressCheck } from '../webhooks/addresses.ts';
import { createUrlCheck } from '../webhooks/endpoint-url.ts';
import { webhookManagement } from '../webhooks/management.ts';
import type { RunningWorker } from './worker.ts';

/** Chunks of imports that are added to the queue at one time; more would take up memory and not be faster. */
const MAX_CHUNKS_ENQUEUEING = 4;

/** Longest time that requests in hand may take when the API stops, in milliseconds. */
const HTTP_GRACE_MS = 8_000;

/** The running API. */
export interface RunningApi extends Running {
  /** Where it listens. */
  readonly url: string;
}

export interface ApiParts extends SharedParts {
  /** The worker of this process, of which the API tells how it is. */
  readonly worker?: RunningWorker;
  /** Where they are to be others than the usual ones. */
  readonly limits?: Partial<HttpLimits>;
}

/**
 * Starts the API.
 * @param keys API keys with access to everything, beside those of the database
 * @param stopping ends a wait for Postgres
 * @param parts what is shared with the rest of the process
 * @throws OperatorError where the schema is too old, the port is taken, or the queue isn't durable and must be
 */
export async function startApi(
  runtime: RuntimeConfig,
  keys: readonly string[],
  log: Log,
  stopping?: AbortSignal,
  parts: ApiParts = {},
): Promise<RunningApi> {
  const closing = new Closing(log);
  try {
    const metrics = parts.metrics ?? (await createMetrics());
    if (!parts.metrics) closing.add('metrics', () => metrics.close());
    const database = openDatabase(runtime, log, { pool: 'api', queryTimeoutMs: 4_000 });
    closing.add('database', () => database.close());
    metrics.pool('api', () => database.pool);
    await checkApiSchema(runtime, database, log, stopping);
    const config = { ...runtime, queueId: await findQueueId(runtime, database, log, stopping) };

    const queue = queueProvider(config, log, { telemetry: parts.tracing?.queue }).openQueue();
    closing.add('queue', () => queue.close());
    await keepDurable(queue, config.requireDurableQueue, log);
    const losses = new LossWatch({ queueId: config.queueId, database, queue, log });
    await losses.start().catch(refuseForeign);
    closing.add('look for lost writes', () => losses.close());
    const gate = new WriteGate(queue, { high: config.queueHighMark, low: config.queueLowMark }, log);
    closing.add('write gate', async () => gate.close());

    const newBatchId = createBatchIds();
    const { onAnswered, enqueues } = metrics.api(() => gate.refusal !== undefined);
    metrics.queue(() => gate.load);
    metrics.losses(() => losses.losses.length);
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
    const drain = new Drain(config.drainTime);
    let url = '';
    let document: OpenApiDocument | undefined;
    const publicUrl = (): string => config.publicUrl ?? url;
    const server = buildServer({
      log,
      onAnswered,
      metricsText: () => metrics.text(),
      metricsAccess: metricsAccess(config),
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
      ...settingsAccess(database, () => observed.stamp()),
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
      objectUrl: (namespace, id) => objectUrl(publicUrl(), namespace, id),
      failed: failedObjects(database, queue, newBatchId),
      createImport: (created) => createImport(database, created),
      receiveUpload: (incoming) => receiveUpload(uploads, incoming),
      webhooks: webhookManagement(database),
      webhookUrlMistake: createUrlCheck({
        allowHttp: config.webhookAllowHttp,
        isAllowedAddress: createAddressCheck(config.webhookAllowNetworks),
      }),
      readiness: drain.readiness(
        readiness(queue, database, config.redisUrl ? ['queue'] : ['queue', 'store'], {
          losses: () => losses.warnings,
          writes: { warning: () => gate.warning, requireDurable: config.requireDurableQueue },
        }),
      ),
      ...(parts.worker ? { problem: parts.worker.problem } : {}),
    });
    closing.add('API', () => server.close(), HTTP_GRACE_MS);
    url = await listen(server, config.host, config.port, 'PORT');
    closing.add('requests that still come', () => drain.run(server), config.drainTime + 1_000);
    log.info({ url }, 'the API listens');
    return { url, close: () => closing.close() };
  } catch (error) {
    await closing.close();
    throw error;
  }
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
    refuseMistake(err);
    if (faultKind(err) !== 'infrastructure') throw err;
    log.warn({ err }, 'Postgres cannot be reached: writes are taken into the queue, reads get 503');
  }
}

/** Who may read the metrics. */
function metricsAccess({ metricsAccess: wanted, host }: RuntimeConfig): 'open' | 'admin' {
  if (wanted !== 'auto') return wanted;
  return isLoopback(host) ? 'open' : 'admin';
}
