/** A log that is kept, to be looked into by tests. */
import { Writable } from 'node:stream';
import type { Logger } from 'pino';
import { pino } from 'pino';

type LogLine = Readonly<Record<string, unknown>> & { readonly level: number; readonly msg: string };

export interface KeptLog {
  readonly log: Logger;
  /** What has been logged; may be emptied. */
  readonly lines: LogLine[];
}

export function keptLog(): KeptLog {
  const lines: LogLine[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      for (const line of String(chunk).trim().split('\n')) lines.push(JSON.parse(line) as LogLine);
      done();
    },
  });
  return { lines, log: pino({ base: null }, stream) };
}
