/** `inlet serve`: everything in one process. */
import { isatty } from 'node:tty';
import type { Logger } from 'pino';
import type { Running } from '../closing.ts';
import { Closing } from '../closing.ts';
import type { Config } from '../config.ts';
import { fitConnections } from '../connections.ts';
import type { LocalKey } from '../local-key.ts';
import { localKey } from '../local-key.ts';
import { startApi } from '../roles/api.ts';
import { startWorker } from '../roles/worker.ts';
import type { RuntimeConfig } from '../runtime.ts';
import { createMetrics, runMigrations } from '../runtime.ts';
import { sayingWhatFor } from '../startup.ts';
import { activeApiKeys } from '../store/api-keys.ts';
import type { Queryable } from '../store/database.ts';
import type { Tracing } from '../telemetry/tracing/types.ts';
import { withAdminDatabase } from './admin-database.ts';

const STDOUT = 1;

/** Starts the embedded Postgres unless there is another, applies migrations, and starts a worker and the API. */
export async function serve(
  config: Config,
  log: Logger,
  stopping: AbortSignal,
  tracing: Tracing | undefined,
): Promise<Running> {
  const closing = new Closing(log);
  try {
    const complete = await withDatabase(config, log, closing);
    await runMigrations(complete, log, stopping);
    const fitted = await fitConnections(complete, ['api', 'worker'], log);
    const metrics = await createMetrics();
    closing.add('metrics', () => metrics.close());
    let apiUrl: string | undefined;
    const worker = await startWorker(fitted, log, undefined, stopping, {
      ...{ metrics, tracing },
      webhooks: { publicUrl: () => config.publicUrl ?? apiUrl },
    });
    closing.add('worker', () => worker.close(), 15_000);
    const made = config.apiKeys
      ? undefined
      : await localKey(config.dataDir, () => withAdminDatabase(complete, hasNoKeys));
    const api = await startApi(fitted, config.apiKeys ?? (made ? [made.key] : []), log, stopping, {
      ...{ metrics, tracing, worker },
    });
    closing.add('API', () => api.close(), 15_000 + config.drainTime);
    apiUrl = api.url;
    if (made) await introduce(made, api.url);
    return closing;
  } catch (error) {
    await closing.close();
    throw error;
  }
}

/** What starts the embedded Postgres is loaded only where it is needed: the package is optional, and left out of the image. */
async function withDatabase(config: Config, log: Logger, closing: Closing): Promise<RuntimeConfig> {
  const { databaseUrl, dataDir } = config;
  if (databaseUrl !== undefined) return { ...config, databaseUrl };
  const { startEmbeddedPostgres } = await import('../store/embedded.ts');
  const starting = startEmbeddedPostgres({ dataDir, log });
  const embedded = await sayingWhatFor(log, `the embedded PostgreSQL in ${dataDir}`, starting);
  closing.add('embedded Postgres', () => embedded.stop(), 25_000);
  return { ...config, databaseUrl: embedded.runtimeUrl, databaseMigrationUrl: embedded.url };
}

async function hasNoKeys(database: Queryable): Promise<boolean> {
  const keys = await activeApiKeys(database);
  return keys.every(({ expiresAt }) => expiresAt !== undefined && expiresAt.getTime() <= Date.now());
}

/**
 * Shows the key once, on a terminal alone, with a command that works when pasted. What isn't a terminal ends up in files and
 * collectors of logs, which must never hold a key: there the path of its file has to do.
 */
async function introduce({ key, path, keep }: LocalKey, url: string): Promise<void> {
  if (!keep) {
    process.stdout.write(`\n  The API key is in ${path}\n\n`);
    return;
  }
  await keep();
  const isShown = isatty(STDOUT);
  process.stdout.write(
    `\n  Created an API key and saved it to ${path}.${isShown ? ` It is shown only once:\n\n    ${key}` : ''}\n\n` +
      `  Try it:\n\n` +
      `    curl ${url}/v1/data/products \\\n` +
      `      -H "Authorization: Bearer ${isShown ? key : `$(cat '${path}')`}" \\\n` +
      `      -H 'Content-Type: application/json' \\\n` +
      `      -d '{"data": {"id": "product_12345", "name": "Chair", "price": 49.90}}'\n\n`,
  );
}
