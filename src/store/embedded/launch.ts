// One attempt at a server that runs and belongs to this process.
import { setTimeout as delay } from 'node:timers/promises';
import { OperatorError } from '../../errors.ts';
import type { Log } from '../../telemetry.ts';
import type { Cluster } from './cluster.ts';
import { type OwnerLock, tryLock } from './lock.ts';
import {
  findPostmaster,
  type Postmaster,
  type StartedPostmaster,
  shutDown,
  startPostmaster,
} from './postmaster.ts';

/** A server, and the lock that makes it ours. */
export interface Running {
  postmaster: StartedPostmaster;
  lock: OwnerLock;
}

/** The server ended by itself while starting: worth another attempt, with another port. */
export class StartFailed extends OperatorError {}

/** The cluster belongs to another living Inlet. */
class InUse extends OperatorError {}

/** How long a server may live without answering, in milliseconds. */
const SILENCE_LIMIT = 60_000;
/** How often it is mentioned that the server recovers, in milliseconds. */
const REMINDER = 10_000;
/** How long a lock may stay taken, in milliseconds: that of a process killed a moment ago goes within that. */
const LOCK_PATIENCE = 500;

/**
 * Ends a server that nobody owns any more, starts a new one on `port`, and takes its lock.
 *
 * @throws OperatorError when the cluster is another process's, or the server doesn't answer
 * @throws StartFailed when the server ended while starting
 */
export async function launch(
  cluster: Cluster,
  port: number,
  log: Pick<Log, 'info' | 'warn'>,
): Promise<Running> {
  await clearOrphan(cluster, log);
  const postmaster = await startPostmaster(cluster, port);
  let lock: OwnerLock | undefined;
  try {
    lock = await waitForLock(cluster, postmaster, log);
  } catch (error) {
    // Where another process has taken the lock in between, the server is now its own.
    if (!(error instanceof InUse)) await shutDown(postmaster);
    throw error;
  }
  if (lock !== undefined) return { postmaster, lock };
  const messages = await postmaster.messages();
  throw new StartFailed(
    `PostgreSQL didn't start on ${cluster.home}; the end of ${cluster.logFile}: ${messages.slice(-5).join(' / ')}`,
  );
}

/**
 * A server found running is in use if its lock is taken. If not, its owner was killed: it is ended, not adopted, so
 * that every server runs with today's binaries and settings, and as a child whose end is noticed.
 */
async function clearOrphan(cluster: Cluster, log: Pick<Log, 'info' | 'warn'>): Promise<void> {
  const found = await findPostmaster(cluster.data);
  if (found === undefined) return;
  const lock = await waitForLock(cluster, found, log);
  if (lock === undefined) return;
  log.warn({ pid: found.pid }, 'stopping the embedded PostgreSQL that a killed Inlet left running');
  await shutDown(found);
}

/**
 * Waits until the server serves, and takes its lock. A recovering server is waited for as long as it takes: ending
 * it would make the next start recover from the beginning.
 *
 * @returns undefined when the server ended
 */
async function waitForLock(
  cluster: Cluster,
  postmaster: Postmaster,
  log: Pick<Log, 'info' | 'warn'>,
): Promise<OwnerLock | undefined> {
  const start = Date.now();
  let heard = start;
  let reminded = start;
  while (await postmaster.isRunning()) {
    const attempt = await tryLock(cluster, postmaster.port);
    const now = Date.now();
    if (attempt.state === 'held') return attempt;
    if (attempt.state === 'taken' && now - start > LOCK_PATIENCE) {
      throw new InUse(
        `${cluster.home} is in use by another Inlet (${attempt.by}; PostgreSQL is process ${postmaster.pid}): ` +
          'stop that one, or set INLET_DATA_DIR to another folder',
      );
    }
    if (attempt.state !== 'unreachable') heard = now;
    else if (now - heard > SILENCE_LIMIT) {
      throw new OperatorError(
        `PostgreSQL (process ${postmaster.pid}) runs on ${cluster.home} and can't be reached at 127.0.0.1:` +
          `${postmaster.port} (${attempt.reason}): stop it, then start Inlet again`,
      );
    }
    if (attempt.state === 'busy' && now - reminded > REMINDER) {
      log.info(
        { seconds: Math.round((now - start) / 1000) },
        'waiting: the embedded PostgreSQL is recovering',
      );
      reminded = now;
    }
    await delay(20);
  }
  return undefined;
}
