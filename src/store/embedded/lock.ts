// Who owns a running server: whoever holds an advisory lock in it. The lock goes when its owner's process does,
// however that ends, so it can't be misread like a process id in a file, which soon belongs to somebody else.
import { Socket } from 'node:net';
import pg from 'pg';
import { OperatorError } from '../../errors.ts';
import { type Cluster, OWNER } from './cluster.ts';

/** Any two numbers that nobody else uses in the database `postgres`: "inle", "t". */
const LOCK_KEY = [0x696e6c65, 0x74];

/** Held until the connection that it hangs on breaks, which `lost` tells: the server's end is how it is given back. */
export interface OwnerLock {
  state: 'held';
  lost: Promise<void>;
  /** Runs `sql` on the lock's own connection, to the database `postgres`, as superuser. */
  query(sql: string): Promise<unknown[]>;
  /** From here on, the connection alone doesn't keep the process running. */
  unref(): void;
}

export type LockAttempt =
  | OwnerLock
  | { state: 'taken'; by: string }
  /** It answers that it can't serve yet, or no more: starting, recovering or shutting down. */
  | { state: 'busy' }
  | { state: 'unreachable'; reason: string };

/**
 * Connects to the server on `port` and tries for the lock, without waiting for it.
 *
 * @throws OperatorError when the server refuses the cluster's password
 */
export async function tryLock(cluster: Cluster, port: number): Promise<LockAttempt> {
  const socket = new Socket();
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: OWNER,
    password: cluster.password,
    database: 'postgres',
    application_name: `inlet owner, process ${process.pid}`,
    connectionTimeoutMillis: 5_000,
    stream: () => socket,
  });
  const lost = new Promise<void>((resolve) => client.once('end', () => resolve()));
  client.on('error', () => {}); // reported by `lost`, as `end` follows
  try {
    await client.connect();
    const { rows } = await client.query('SELECT pg_try_advisory_lock($1, $2) AS mine', LOCK_KEY);
    if (rows[0]?.mine !== true) {
      const by = await holder(client);
      await client.end();
      return { state: 'taken', by };
    }
  } catch (error) {
    socket.destroy();
    return explain(cluster, error);
  }
  return {
    state: 'held',
    lost,
    query: async (sql) => (await client.query(sql)).rows,
    unref: () => {
      socket.unref();
    },
  };
}

async function holder(client: pg.Client): Promise<string> {
  const { rows } = await client.query(
    `SELECT application_name AS name FROM pg_stat_activity WHERE pid IN
       (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = $1 AND objid = $2)`,
    LOCK_KEY,
  );
  return String(rows[0]?.name ?? 'inlet owner').replace('inlet owner, ', '');
}

function explain(cluster: Cluster, error: unknown): LockAttempt {
  const code = error instanceof pg.DatabaseError ? error.code : undefined;
  if (code === '57P03') return { state: 'busy' }; // cannot_connect_now
  if (code?.startsWith('28')) {
    throw new OperatorError(
      `The PostgreSQL in ${cluster.home} refuses the password kept in ${cluster.home}/password: restore that file`,
      { cause: error },
    );
  }
  return { state: 'unreachable', reason: error instanceof Error ? error.message : String(error) };
}
