/** `inlet queue losses`, `accept-loss` and `adopt`. */
import type { Config } from '../config.ts';
import { OperatorError } from '../errors.ts';
import { describeLoss, inTimes } from '../ingest/loss-watch.ts';
import { readOwner } from '../queue/redis.ts';
import type { Queryable } from '../store/database.ts';
import type { OpenLoss } from '../store/losses.ts';
import { acceptLosses, adoptQueue, notStored, openLosses, readKnownQueue } from '../store/losses.ts';
import { printJson } from './print.ts';
import type { Screen } from './terminal.ts';

/** Prints the losses that nobody has accepted, the oldest first. */
export async function listLosses(database: Queryable, json: boolean, stdout: Screen): Promise<void> {
  await print(database, await openLosses(database, true), json, stdout);
}

/** Prints losses and accepts them: those that were printed, and no others. */
export async function acceptLoss(database: Queryable, json: boolean, stdout: Screen): Promise<void> {
  const losses = await openLosses(database, true);
  await print(database, losses, json, stdout);
  if (losses.length === 0) return;
  await acceptLosses(
    database,
    losses.map(({ id }) => id),
  );
  if (!json) stdout.write(`accepted: ${losses.length}. Processes stop warning of this within seconds.\n`);
}

async function print(
  database: Queryable,
  losses: readonly OpenLoss[],
  json: boolean,
  stdout: Screen,
): Promise<void> {
  const listed = await Promise.all(
    losses.map(async (loss) => ({ loss, missing: await notStored(database, loss.requestIds) })),
  );
  if (json) {
    printJson({ data: listed.map(({ loss, missing }) => lossJson(loss, missing)) }, stdout);
    return;
  }
  if (losses.length === 0) stdout.write('no losses\n');
  for (const { loss, missing } of listed) {
    stdout.write(`${loss.noticedAt.toISOString()}  ${describeLoss(loss)}\n`);
    for (const requestId of missing) stdout.write(`  ${requestId}\n`);
    if (missing.length === 0) stdout.write('  no request is remembered that is not stored\n');
  }
}

function lossJson(loss: OpenLoss, missing: readonly string[]) {
  const { from, to } = inTimes(loss);
  return {
    id: loss.id,
    cause: loss.cause.replace(' ', '_'),
    from: from ?? null,
    to,
    noticed_at: loss.noticedAt.toISOString(),
    request_ids: missing,
  };
}

/**
 * Makes the queue at REDIS_URL this database's.
 * @throws OperatorError where there is none, or Redis can't be reached
 */
export async function adopt(
  database: Queryable,
  { redisUrl, redisPrefix }: Config,
  stdout: Screen,
): Promise<void> {
  if (!redisUrl)
    throw new OperatorError('REDIS_URL is not set: a queue in Postgres belongs to its database.');
  const owner = await readOwner(redisUrl, redisPrefix).catch((error: Error) => {
    throw new OperatorError(`Redis cannot be reached: ${error.message}`);
  });
  if (owner === undefined) {
    throw new OperatorError(
      'There is no queue at REDIS_URL with the prefix of INLET_REDIS_PREFIX: nothing to adopt.',
    );
  }
  const { id } = await readKnownQueue(database);
  if (id === owner) {
    stdout.write(`the queue ${owner} is this database's already\n`);
    return;
  }
  await adoptQueue(database, owner);
  stdout.write(`the queue ${owner} is this database's now, in place of ${id}. Restart all processes.\n`);
}
