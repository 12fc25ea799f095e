/** Writes that Postgres may refuse, inside a transaction that goes on in either case. */
import { storableText } from '../domain/storable.ts';
import type { Queryable } from './database.ts';
import type { FaultKind } from './faults.ts';
import { faultKind, sqlState } from './faults.ts';
import { upsertAndTell } from './objects.ts';
import { MICROS_OF, stampOfRow } from './sql-time.ts';

/** Why Postgres has refused a write. */
export interface Refusal {
  readonly kind: FaultKind;
  readonly sqlState: string;
  readonly message: string;
  /** Whether somebody else's lock was waited for in vain. (Triggers can raise the same code, but at once.) */
  readonly isLocked: boolean;
}

/** How long an attempt waits for a lock, and takes at most, in milliseconds: its neighbours wait along. */
const LOCK_TIMEOUT_MS = 100;
const STATEMENT_TIMEOUT_MS = 15_000;

/** Longest message that is kept, in characters: a trigger's may be megabytes, for each of ten thousand objects. */
const MAX_MESSAGE_LENGTH = 2_000;
const LOCK_NOT_AVAILABLE = '55P03';

/** Runs attempts with little patience. @returns what `run` resolves to @throws what it throws */
export async function impatiently<T>(transaction: Queryable, run: () => Promise<T>): Promise<T> {
  const [before] = await transaction.query<{ lock: string; statement: string }>({
    text: `SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement,
                  set_config('lock_timeout', '${LOCK_TIMEOUT_MS}', true),
                  set_config('statement_timeout', '${STATEMENT_TIMEOUT_MS}', true)`,
  });
  const result = await run();
  await transaction.query({
    text: `SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true)`,
    values: [before?.lock, before?.statement],
  });
  return result;
}

/**
 * Tries a write behind a savepoint.
 * @returns what `write` has resolved to, or why it was refused: then nothing of it is left
 * @throws what `write` throws where that is no answer of Postgres; StoreUnavailableError where the connection is gone
 */
export async function attemptWrite<T>(
  transaction: Queryable,
  write: () => Promise<T>,
): Promise<
  | { readonly result: T; readonly refusal: undefined }
  | { readonly result: undefined; readonly refusal: Refusal }
> {
  await transaction.query({ text: 'SAVEPOINT attempt' });
  const begun = performance.now();
  try {
    const result = await write();
    // Constraints that would wait for the commit would fail it as a whole.
    await transaction.query({ text: 'SET CONSTRAINTS ALL IMMEDIATE' });
    await transaction.query({ text: 'RELEASE SAVEPOINT attempt' });
    return { result, refusal: undefined };
  } catch (error) {
    const state = sqlState(error);
    if (state === undefined) throw error;
    const isLocked = state === LOCK_NOT_AVAILABLE && performance.now() - begun >= LOCK_TIMEOUT_MS;
    await undo(transaction, 'attempt');
    const message = storableText((error as Error).message.slice(0, MAX_MESSAGE_LENGTH));
    return { result: undefined, refusal: { kind: faultKind(error), sqlState: state, message, isLocked } };
  }
}

/**
 * Undoes what was done since a savepoint, and removes it: one that stays has a lock in a table that all of the server shares,
 * and thousands of them leave no room for anybody.
 */
export async function undo(transaction: Queryable, savepoint: string): Promise<void> {
  await transaction.query({ text: `ROLLBACK TO SAVEPOINT ${savepoint}; RELEASE SAVEPOINT ${savepoint}` });
}

/**
 * Whether the table of objects takes writes: an object that is stored is written once more, with the statement that stores all
 * others, and then as its next revision, to no effect. Where that passes, what was refused was refused for itself. Two are
 * tried, from both ends of the table: one namespace may refuse all of its own.
 * @returns false also where nothing is stored yet
 */
export async function takesWrites(transaction: Queryable): Promise<boolean> {
  for (const direction of ['ASC', 'DESC'] as const) {
    await transaction.query({ text: 'SAVEPOINT probe' });
    const { refusal, result } = await attemptWrite(transaction, () => writeAgain(transaction, direction));
    await undo(transaction, 'probe');
    if (refusal === undefined && result) return true;
  }
  return false;
}

/** Writes the first or the last object of the table again. @returns false where there is none that isn't locked */
async function writeAgain(transaction: Queryable, direction: 'ASC' | 'DESC'): Promise<boolean> {
  const [known] = await transaction.query<
    Record<'namespace' | 'id' | 'request_id' | 'accepted_at' | 'stamp' | 'data', string>
  >({
    text: `SELECT namespace, id, request_id, ${MICROS_OF('accepted_at')} AS accepted_at,
                  ${stampOfRow('objects')} AS stamp, data::text AS data
           FROM inlet.objects WHERE data IS NOT NULL
           ORDER BY namespace ${direction}, id ${direction} LIMIT 1 FOR UPDATE SKIP LOCKED`,
  });
  if (!known) return false;
  const { namespace, request_id: id, accepted_at, stamp, data } = known;
  const request = { id, namespace, acceptedAt: Number(accepted_at), stamp: Number(stamp), part: 0 };
  await upsertAndTell(transaction, { requests: [request], requestOf: [0], objects: data });
  // That has changed nothing; triggers of updates and the history have their say only here.
  await transaction.query({
    text: 'UPDATE inlet.objects SET revision = revision + 1, updated_at = now() WHERE namespace = $1 AND id = $2',
    values: [namespace, known.id],
  });
  return true;
}
