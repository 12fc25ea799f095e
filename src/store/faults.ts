/**
 * What a failed statement means, by its code and never by its text. The code says how long to wait before the next try. It
 * never says whether a batch is isolated: a trigger or policy of the operator's may raise any code for a single object.
 * Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
import pg from 'pg';
import { UnavailableError } from '../errors.ts';

/**
 * - `data`: Postgres refuses what is to be stored; trying again changes nothing.
 * - `infrastructure`: it can't work now; trying again will help, sooner or later.
 * - `unexpected`: neither is known to hold, which points to a bug or a broken schema.
 */
export type FaultKind = 'data' | 'infrastructure' | 'unexpected';

/** The first two characters of an SQLSTATE. */
const CLASSES: Readonly<Record<string, FaultKind>> = {
  '08': 'infrastructure', // connection exception
  '22': 'data', // data exception
  '23': 'data', // integrity constraint violation: a constraint that the operator has added
  '25': 'infrastructure', // invalid transaction state: read-only while a standby takes over
  '28': 'infrastructure', // invalid authorization: a password being rotated
  '3D': 'infrastructure', // the database doesn't exist (yet)
  '40': 'infrastructure', // transaction rollback: deadlock, serialization failure
  '44': 'data', // WITH CHECK OPTION violation
  '53': 'infrastructure', // insufficient resources: disk full, too many connections
  '54': 'data', // program limit exceeded: index row too large, nesting too deep
  '55': 'infrastructure', // object not in prerequisite state: lock not available
  '57': 'infrastructure', // operator intervention: shutdown, cancelled statement
  '58': 'infrastructure', // system error: I/O
  P0: 'data', // raised by a trigger that the operator has added
  XX: 'infrastructure', // corrupted page: nothing is lost by waiting for the operator
};

/** Single codes that differ from their class. */
const CODES: Readonly<Record<string, FaultKind>> = {
  // "Internal error" is also what data gets that is within every limit but too much for an allocation. Isolation
  // tries each object again by itself, so a passing fault fails none.
  XX000: 'data',
};

/**
 * Tells what `error`, thrown by a query or a connect, stands for. Errors that come without an SQLSTATE don't
 * come from Postgres but from the way there: refused, reset, timed out.
 */
export function faultKind(error: unknown): FaultKind {
  const code = sqlState(error);
  if (code !== undefined) return CODES[code] ?? CLASSES[code.slice(0, 2)] ?? 'unexpected';
  return error instanceof StoreUnavailableError ? 'infrastructure' : 'unexpected';
}

/** Whether Postgres can't be reached: nothing is known of what was sent. */
export function isConnectionFault(error: unknown): error is StoreUnavailableError {
  return error instanceof StoreUnavailableError;
}

/**
 * Whether Postgres has answered with an error. In a transaction of `Database` that came over a connection that works, so it
 * may be about a single object, whatever its code.
 */
export function isRefusal(error: unknown): boolean {
  return sqlState(error) !== undefined;
}

/** The SQLSTATE of an error that Postgres has answered with. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** Postgres can't be reached or broke off. */
export class StoreUnavailableError extends UnavailableError {
  override readonly name = 'StoreUnavailableError';
}
