/**
 * Waiting for locks of Postgres without standing in the way. A statement that waits for a strong lock holds up all that
 * come after it, reads too, for as long as whoever has the lock. So it waits for seconds, steps back for a while, and tries
 * again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { OperatorError } from '../errors.ts';
import type { Queryable } from './database.ts';
import { sqlState } from './faults.ts';

/** A session that holds what another waits for, or waits for it in front of it. */
interface Blocker {
  /** Of its backend; 0 for a prepared transaction, which has none. */
  readonly pid: number;
  /** Its `application_name`, or what kind of backend it is; null where neither is known. */
  readonly application: string | null;
  /** How long its transaction has been open, in seconds; null where that may not be seen. */
  readonly transactionSeconds: number | null;
}

/** What was waited for in vain. */
export interface LockWait {
  /** A relation, or what kind of lock it is. */
  readonly lock: string;
  readonly blockers: readonly Blocker[];
}

export interface LockPatience {
  /** Longest wait for a lock in one attempt, in milliseconds: the transaction's `lock_timeout`. */
  readonly waitMs: number;
  /** Gives up after so many milliseconds. */
  readonly giveUpMs: number;
  /** From one attempt to the next, in milliseconds. */
  readonly pauseMs: number;
}

export interface LockWaitOptions extends Omit<LockPatience, 'waitMs'> {
  /** For the error, like "migration 0001_objects". */
  readonly what: string;
  /** The backend of the transaction. */
  readonly pid: number;
  /** Another connection, on which is looked up who blocks it. */
  readonly watch: Queryable;
  /** Told of each attempt that waited in vain. */
  readonly onWait: (wait: LockWait) => void;
  /** Ends the wait with an AbortError. */
  readonly stopping?: AbortSignal | undefined;
}

/** From one look for blockers to the next, in milliseconds; less than any wait. */
const LOOK_EVERY_MS = 200;

const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK_DETECTED = '40P01';

/**
 * Does something in a transaction that has a `lock_timeout`, and again for as long as that strikes. What an attempt has
 * done is undone first, and its locks are let go of.
 * @throws OperatorError that names who blocks it, where it has tried for long enough; whatever else `use` throws
 */
export async function withLocks<T>(
  transaction: Queryable,
  { what, pid, watch, giveUpMs, pauseMs, onWait, stopping }: LockWaitOptions,
  use: () => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + giveUpMs;
  for (;;) {
    await transaction.query({ text: 'SAVEPOINT attempt' });
    const looking = new AbortController();
    let wait: LockWait = { lock: 'a lock', blockers: [] };
    void keepLooking(watch, pid, looking.signal, (found) => {
      wait = found;
    });
    try {
      return await use();
    } catch (error) {
      const state = sqlState(error);
      if (state !== LOCK_NOT_AVAILABLE && state !== DEADLOCK_DETECTED) throw error;
      await transaction.query({ text: 'ROLLBACK TO SAVEPOINT attempt' });
      onWait(wait);
      if (performance.now() > deadline) throw gaveUp(what, giveUpMs, wait);
    } finally {
      looking.abort();
    }
    await delay(pauseMs, undefined, stopping ? { signal: stopping } : {});
  }
}

/** Says in a line who holds a lock. */
export function describeWait({ lock, blockers }: LockWait): string {
  const holders = blockers.map(({ pid, application, transactionSeconds }) => {
    if (pid === 0) return 'a prepared transaction (see pg_prepared_xacts)';
    const open = transactionSeconds === null ? [] : [`transaction open for ${transactionSeconds} s`];
    const about = [...(application ? [application] : []), ...open].join(', ');
    return `pid ${pid}${about && ` (${about})`}`;
  });
  return `${lock} is held by ${holders.length > 0 ? holders.join(' and ') : 'another session'}`;
}

function gaveUp(what: string, giveUpMs: number, wait: LockWait): OperatorError {
  const pids = wait.blockers.flatMap(({ pid }) => (pid === 0 ? [] : [pid]));
  const remedy = pids.map((pid) => `SELECT pg_terminate_backend(${pid})`).join('; ');
  return new OperatorError(
    `${what} did not get a lock within ${Math.round(giveUpMs / 1_000)} s: ${describeWait(wait)}. ` +
      `Wait until that has ended${remedy && `, or end it ("${remedy}")`}, and try again.`,
  );
}

/** Looks again and again until it is aborted; never throws. A look that fails is none. */
async function keepLooking(
  watch: Queryable,
  pid: number,
  stopping: AbortSignal,
  onFound: (wait: LockWait) => void,
): Promise<void> {
  while (await delay(LOOK_EVERY_MS, true, { signal: stopping }).catch(() => false)) {
    const found = await findBlockers(watch, pid).catch(() => undefined);
    if (found && !stopping.aborted) onFound(found);
  }
}

/** What a backend waits for, and who blocks it; undefined where it doesn't wait. */
async function findBlockers(watch: Queryable, pid: number): Promise<LockWait | undefined> {
  const rows = await watch.query<Blocker & { lock: string }>({
    text: `SELECT coalesce(nspname || '.' || relname, 'the ' || locktype || ' lock') AS lock, blocker.pid,
             coalesce(nullif(application_name, ''), backend_type) AS application,
             extract(epoch FROM clock_timestamp() - xact_start)::integer AS "transactionSeconds"
           FROM pg_locks AS waited
           LEFT JOIN pg_class ON pg_class.oid = waited.relation
           LEFT JOIN pg_namespace ON pg_namespace.oid = relnamespace,
           (SELECT DISTINCT unnest(pg_blocking_pids($1)) AS pid) AS blocker
           LEFT JOIN pg_stat_activity USING (pid)
           WHERE waited.pid = $1 AND NOT waited.granted`,
    values: [pid],
  });
  const [first] = rows;
  if (!first) return undefined;
  return { lock: first.lock, blockers: rows.map(({ lock: _, ...blocker }) => blocker) };
}
