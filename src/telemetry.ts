/** The log: pino, JSON lines, or a readable form on a terminal. */
import { isatty } from 'node:tty';
import type { Logger, LoggerOptions } from 'pino';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import { printable } from './domain/printable.ts';
import { describeError } from './telemetry/describe-error.ts';
import type { LogLevel } from './telemetry/log-level.ts';
import { LogWriter } from './telemetry/log-writer.ts';
import { kindOf, Throttle } from './telemetry/throttle.ts';

/** What modules need of the log. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'isLevelEnabled'>;

const STDOUT = 1;

/** What a log is made with, wherever its lines go. */
export function logOptions(level: LogLevel): LoggerOptions {
  return { level, base: null, serializers: { err: describeError } };
}

/** Makes the process's log on standard output. */
export function createLog(level: LogLevel): Logger {
  const options = logOptions(level);
  if (level === 'silent') return pino(options);
  // (process.stdout would tell too, but being asked it makes a pipe one that can refuse to be written to.)
  if (isatty(STDOUT)) {
    const shown = pretty({ colorize: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss' });
    return pino(options, { write: (line) => shown.write(printableLine(line)) });
  }
  const writer = new LogWriter(STDOUT, (lines) =>
    log.warn({ lines }, 'the log was not read fast enough: lines of it were dropped'),
  );
  const log = pino({ ...options, timestamp: isoTime() }, { write: (line) => writer.write(printable(line)) });
  process.once('exit', () => writer.flushSync());
  return log;
}

/** A line whose strings stay printable when pino-pretty has taken them out of their JSON. */
function printableLine(line: string): string {
  const made: unknown = JSON.parse(line, (_, value: unknown) =>
    typeof value === 'string' ? printable(value) : value,
  );
  return `${JSON.stringify(made)}\n`;
}

/** Makes the time of a line, once for all lines of a millisecond. */
function isoTime(): () => string {
  let made = 0;
  let text = '';
  return () => {
    const now = Date.now();
    if (now !== made) {
      made = now;
      text = `,"time":"${new Date(now).toISOString()}"`;
    }
    return text;
  };
}

/** Told of an error. @param line what else its line says, like the batch that it is about */
export type ErrorReporter = (error: Error, line?: Readonly<Record<string, unknown>>) => void;

/**
 * Makes a function that logs errors, of those of a kind one line every ten seconds with how many it leaves out: a server
 * that is away fails every attempt to reach it, and its operator wants to read about it, not to wade through it.
 * @param message what has failed, the same for all
 */
export function errorReporter(log: Log, message: string, level: 'warn' | 'error' = 'warn'): ErrorReporter {
  const throttle = new Throttle();
  return (err, line) =>
    throttle.tell(kindOf(err), (leftOut) => log[level]({ ...line, ...leftOut, err }, message));
}
