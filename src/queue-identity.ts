/** Which queue is this Inlet's: its id, which the database has, and the data folder where the database can't be asked. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { OperatorError } from './errors.ts';
import { makeFolder } from './make-folder.ts';
import { ForeignQueueError } from './queue/queue.ts';
import { readOwner } from './queue/redis.ts';
import type { RuntimeConfig } from './runtime.ts';
import { retryWhileUnavailable } from './startup.ts';
import type { Database } from './store/database.ts';
import { faultKind } from './store/faults.ts';
import { readKnownQueue } from './store/losses.ts';
import type { Log } from './telemetry.ts';

/**
 * Finds the id of this Inlet's queue. With Postgres away it is the one that this machine remembers, and otherwise the one that
 * the queue itself has: then it is compared with the database's as soon as that answers.
 * @param stopping ends a wait for Postgres
 * @throws OperatorError where it can't be found
 */
export async function findQueueId(
  config: RuntimeConfig,
  database: Database,
  log: Log,
  stopping?: AbortSignal,
): Promise<string> {
  const path = queueIdFile(config);
  const ask = async (): Promise<string> => {
    try {
      return (await readKnownQueue(database)).id;
    } catch (error) {
      const known = await elsewhere(config, path);
      if (faultKind(error) !== 'infrastructure' || known === undefined) throw error;
      log.warn({ queueId: known }, 'Postgres cannot be reached: the id of the queue is the one of before');
      return known;
    }
  };
  const id = await retryWhileUnavailable(log, stopping, ask);
  if (config.redisUrl) await remember(path, id);
  return id;
}

/**
 * Ends a start whose queue turns out to be another Inlet's.
 * @throws OperatorError for a ForeignQueueError; whatever else it is told
 */
export function refuseForeign(error: unknown): never {
  if (!(error instanceof ForeignQueueError)) throw error;
  throw new OperatorError(
    `${error.message}. Set REDIS_URL to this Inlet's Redis, or INLET_REDIS_PREFIX so that both can use it; where this database takes the place of the other one, run "inlet queue adopt".`,
  );
}

async function elsewhere(
  { redisUrl, redisPrefix }: RuntimeConfig,
  path: string,
): Promise<string | undefined> {
  if (!redisUrl) return undefined;
  const remembered = await readFile(path, 'utf8').catch(() => '');
  return remembered.trim() || readOwner(redisUrl, redisPrefix).catch(() => undefined);
}

/** It only helps: where the folder can't be written, the queue has to be asked. */
async function remember(path: string, id: string): Promise<void> {
  try {
    if ((await readFile(path, 'utf8').catch(() => '')).trim() === id) return;
    await makeFolder(dirname(path));
    await writeFile(path, `${id}\n`, { mode: 0o600 });
  } catch {}
}

/** Where the id of a queue is remembered. One folder may be that of several Inlets. */
export function queueIdFile({
  dataDir,
  databaseUrl,
}: Pick<RuntimeConfig, 'dataDir' | 'databaseUrl'>): string {
  const { host, pathname } = new URL(databaseUrl);
  const name = createHash('sha256')
    .update(host + pathname)
    .digest('hex');
  return join(dataDir, `queue-id-${name.slice(0, 8)}`);
}
