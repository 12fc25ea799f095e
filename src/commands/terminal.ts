/** What a command reads and writes, so that it can be run in a process that does other things too. `process` is one. */
import type { Readable, Writable } from 'node:stream';
import type { Screen } from './progress.ts';

export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  readonly stdout: Writable & Screen;
  readonly stderr: Writable & Screen;
  /** Set by a command that has run, and has failed. */
  exitCode?: number | string | null | undefined;
}
