/** The log: pino, JSON lines, or a readable form on a terminal. */
import type { Logger } from 'pino';
import { pino } from 'pino';
import pretty from 'pino-pretty';

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

/** Errors of the network and of Postgres are explained by their code; where they were thrown says nothing. */
function isExpected(error: Error): boolean {
  return 'code' in error || error.cause !== undefined;
}
