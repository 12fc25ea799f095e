// Runs PostgreSQL for Inlet: starts it, keeps it running, stops it.
import { setTimeout as delay } from 'node:timers/promises';
import { OperatorError } from '../errors.ts';
import type { Log } from '../telemetry.ts';
import { type Cluster, OWNER, openCluster, RUNTIME_ROLE, runtimePassword } from './embedded/cluster.ts';
import { launch, type Running, StartFailed } from './embedded/launch.ts';
import { tryLock } from './embedded/lock.ts';
import { freePort, shutDown } from './embedded/postmaster.ts';

export interface EmbeddedPostgres {
  /** Connects as superuser to the database `inlet`; stays valid until `stop()`, also when the server is restarted. */
  url: string;
  /** Connects as the role that Inlet runs as, which migrations make; valid as long. */
  runtimeUrl: string;
  /** Stops the server and resolves when it is gone. May be called again. */
  stop(): Promise<void>;
}

/** Starts that fail are tried again after 0.1, 0.2, 0.4, … s: ports get taken, and dying servers take a moment. */
const ATTEMPTS = 6;

/**
 * Starts PostgreSQL on the cluster in `dataDir/postgres`, which it creates at first use, and restarts it when it dies.
 *
 * A server that a killed Inlet left running is shut down and started anew. One that belongs to a living Inlet is
 * left alone.
 *
 * @param options.dataDir Inlet's data folder
 * @throws OperatorError when the folder is in use, was written by another major version, or the server doesn't start
 */
export async function startEmbeddedPostgres(options: {
  dataDir: string;
  log: Pick<Log, 'info' | 'warn'>;
}): Promise<EmbeddedPostgres> {
  const { log } = options;
  const cluster = await openCluster(options.dataDir);
  const first = await startFirst(cluster, log);
  const { port } = first.postmaster;
  try {
    await createDatabase(first);
  } catch (error) {
    await shutDown(first.postmaster);
    throw error;
  }
  log.info({ dataDir: cluster.home, port, pid: first.postmaster.pid }, 'embedded PostgreSQL is running');
  const stop = keepRunning(cluster, first, log);
  const urlOf = (user: string, password: string) => `postgres://${user}:${password}@127.0.0.1:${port}/inlet`;
  return {
    url: urlOf(OWNER, cluster.password),
    runtimeUrl: urlOf(RUNTIME_ROLE, runtimePassword(cluster)),
    stop,
  };
}

async function startFirst(cluster: Cluster, log: Pick<Log, 'info' | 'warn'>): Promise<Running> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await launch(cluster, await freePort(), log);
    } catch (error) {
      if (!(error instanceof StartFailed) || attempt === ATTEMPTS) throw error;
    }
    await delay(50 * 2 ** attempt);
  }
}

async function createDatabase({ lock }: Running): Promise<void> {
  const found = await lock.query("SELECT FROM pg_database WHERE datname = 'inlet'");
  if (found.length === 0) await lock.query('CREATE DATABASE inlet');
}

/** Watches over the server, and returns what ends it. */
function keepRunning(cluster: Cluster, first: Running, log: Pick<Log, 'info' | 'warn'>): () => Promise<void> {
  const stopping = new AbortController();
  const stopped = new Promise<void>((resolve) => stopping.signal.addEventListener('abort', () => resolve()));
  let current = first;

  async function watch(): Promise<void> {
    while (!stopping.signal.aborted) {
      current.lock.unref();
      await Promise.race([current.postmaster.exited, current.lock.lost, stopped]);
      if (!stopping.signal.aborted) await repair();
    }
    await shutDown(current.postmaster);
  }

  /** One attempt after another, at most 5 s apart, until the server runs and is ours. */
  async function repair(): Promise<void> {
    log.warn(
      { pid: current.postmaster.pid },
      'embedded PostgreSQL has dropped its connections; bringing it back',
    );
    for (let pause = 50; !stopping.signal.aborted; pause = Math.min(pause * 2, 5_000)) {
      try {
        if (await revive()) return;
      } catch (error) {
        log.warn({ err: error }, 'embedded PostgreSQL is not back yet; trying again');
      }
      await Promise.race([delay(pause, undefined, { ref: false }), stopped]);
    }
  }

  async function revive(): Promise<boolean> {
    const { postmaster } = current;
    if (!(await postmaster.isRunning())) {
      // On the same port: the pools of this process know no other.
      current = await launch(cluster, postmaster.port, log);
      log.warn({ pid: current.postmaster.pid }, 'embedded PostgreSQL had died and was started again');
      return true;
    }
    // After the crash of one backend the server ends all others, recovers, and goes on by itself.
    const lock = await tryLock(cluster, postmaster.port);
    if (lock.state === 'taken') throw new OperatorError(`${cluster.home} was taken over by ${lock.by}`);
    if (lock.state !== 'held') return false;
    current = { postmaster, lock };
    log.info({ pid: postmaster.pid }, 'embedded PostgreSQL takes connections again');
    return true;
  }

  const ended = watch();
  return () => {
    stopping.abort();
    return ended;
  };
}
