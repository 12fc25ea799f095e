/** The log: pino, JSON lines, or a readable form on a terminal. */
import { isatty } from 'node:tty';
import type { Logger, LoggerOptions } from 'pino';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import { describeError } from './telemetry/describe-error.ts';
import type { LogLevel } from './telemetry/log-level.ts';
import { LogWriter } from './telemetry/log-writer.ts';

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
    return pino(options, pretty({ colorize: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss' }));
  }
  const writer = new LogWriter(STDOUT, (lines) =>
    log.warn({ lines }, 'the log was not read fast enough: lines of it were dropped'),
  );
  const log = pino({ ...options, timestamp: isoTime() }, writer);
  process.once('exit', () => writer.flushSync());
  return log;
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
