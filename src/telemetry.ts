/** The log: pino, JSON lines, or a readable form on a terminal. */
import type { Logger } from 'pino';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import { UnavailableError } from './errors.ts';

/** What modules need of the log. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Makes the process's log on standard output. */
export function createLog(level: LogLevel): Logger {
  const options = { level, base: null, serializers: { err: describeError } };
  return process.stdout.isTTY
    ? pino(options, pretty({ colorize: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss' }))
    : pino({ ...options, timestamp: pino.stdTimeFunctions.isoTime });
}

/**
 * What the log says of an error. Errors of Postgres carry statements' details, rows and parameters in further
 * members, which are users' data: only its code and message are let through.
 */
function describeError(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack } = error;
  const code = 'code' in error ? { code: error.code } : {};
  const cause = error.cause === undefined ? {} : { cause: describeError(error.cause) };
  return { type: name, message, ...code, ...cause, ...(isExpected(error) ? {} : { stack }) };
}

/** These are explained by their code or message; where they were thrown says nothing. */
function isExpected(error: Error): boolean {
  return error instanceof UnavailableError || 'code' in error || error.cause !== undefined;
}

const SAME_ERROR_MS = 10_000;

/**
 * Makes a function that logs errors as warnings, the same one at most every ten seconds: a server that is away
 * fails every attempt to reach it, and its operator wants to read about it, not to wade through it.
 */
export function errorReporter(log: Log, message: string): (error: Error) => void {
  const seen = new Map<string, { since: number; left: number }>();
  return (error) => {
    const now = performance.now();
    const key = `${error.name} ${error.message}`;
    const last = seen.get(key);
    if (last && now - last.since < SAME_ERROR_MS) {
      last.left += 1;
      return;
    }
    // Messages may hold numbers that never come again.
    if (seen.size > 100) seen.clear();
    seen.set(key, { since: now, left: 0 });
    log.warn({ err: error, ...(last?.left ? { repeated: last.left } : {}) }, message);
  };
}
