/** The log: pino, JSON lines, or a readable form on a terminal. */
import { isatty } from 'node:tty';
import type { Logger } from 'pino';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import { describeError } from './telemetry/describe-error.ts';
import { LogBuffer } from './telemetry/log-buffer.ts';

/** What modules need of the log. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'isLevelEnabled'>;

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const STDOUT = 1;

/** Most bytes that wait for a reader of the log who has fallen behind. What comes beyond that is dropped. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** Makes the process's log on standard output. */
export function createLog(level: LogLevel): Logger {
  const options = { level, base: null, serializers: { err: describeError } };
  if (level === 'silent') return pino(options);
  // (process.stdout would tell too, but being asked it makes a pipe one that can refuse to be written to.)
  if (isatty(STDOUT)) {
    return pino(options, pretty({ colorize: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss' }));
  }
  const { buffer, onDropped } = standardOutput();
  const log = pino({ ...options, timestamp: isoTime() }, buffer);
  onDropped((lines) => log.warn({ lines }, 'the log was not read fast enough: lines of it were dropped'));
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

/** Standard output, written to in the background, and at the end of the process all that is left. */
function standardOutput() {
  const output = pino.destination({
    ...{ dest: STDOUT, sync: false, minLength: 0, maxLength: MAX_WAITING_BYTES },
  });
  // A log that can't be written, because the disk is full, must not end the server.
  output.on('error', () => undefined);
  const buffer = new LogBuffer(output);
  process.prependListener('exit', () => buffer.flushSync());
  const onDropped = (report: (lines: number) => void): void => {
    let lines = 0;
    output.on('drop', (text: string) => {
      lines += text.split('\n').length - 1;
    });
    output.on('drain', () => {
      if (lines > 0) report(lines);
      lines = 0;
    });
  };
  return { buffer, onDropped };
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
