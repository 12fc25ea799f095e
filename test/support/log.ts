/** A log that is kept, to be looked into by tests. */
import { Writable } from 'node:stream';
import type { Logger } from 'pino';
import { pino } from 'pino';
import type { LogLevel } from '../../src/telemetry/log-level.ts';
import { logOptions } from '../../src/telemetry.ts';

export type LogLine = Readonly<Record<string, unknown>> & { readonly level: number; readonly msg: string };

export interface KeptLog {
  readonly log: Logger;
  /** What has been logged; may be emptied. */
  readonly lines: LogLine[];
  /** All that has been logged, as a process would have written it. */
  readonly text: string;
}

export function keptLog(level: LogLevel = 'info'): KeptLog {
  const lines: LogLine[] = [];
  const written: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written.push(String(chunk));
      for (const line of String(chunk).trim().split('\n')) lines.push(JSON.parse(line) as LogLine);
      done();
    },
  });
  return {
    log: pino(logOptions(level), stream),
    lines,
    get text() {
      return written.join('');
    },
  };
}
