/** What a command reads and writes, so that it can be run in a process that does other things too. */
import type { Readable, Writable } from 'node:stream';
import { printable } from '../domain/printable.ts';

/** Where text goes, as it is; `process.stderr` is one. */
export interface Stream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** What the command is given; `process` is one. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  readonly stdout: Writable & Stream;
  readonly stderr: Writable & Stream;
  /** Set by a command that has run, and has failed. */
  exitCode?: number | string | null | undefined;
}

/** The only way of commands to a terminal, so that nothing they were sent can steer it. */
export class Screen {
  readonly #stream: Stream;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  get isTTY(): boolean {
    return this.#stream.isTTY ?? false;
  }

  /** Writes text, in which {@link printable} escapes all that a terminal may obey. */
  write(text: string): void {
    this.#stream.write(printable(text));
  }

  /** Writes a line over the current one, as much of it as fits. Only on a terminal. */
  redraw(line: string): void {
    this.#stream.write(`\r\x1b[2K${printable(line).slice(0, (this.#stream.columns ?? 80) - 1)}`);
  }
}

/** A terminal as commands use it. */
export interface Screens extends Pick<Terminal, 'env' | 'stdin' | 'exitCode'> {
  readonly stdout: Screen;
  readonly stderr: Screen;
}

/** Nothing is opened before a command uses it: looked at, standard output would no longer wait for who reads a pipe. */
export function screensOf(terminal: Terminal): Screens {
  return {
    env: terminal.env,
    get stdin() {
      return terminal.stdin;
    },
    get stdout() {
      return new Screen(terminal.stdout);
    },
    get stderr() {
      return new Screen(terminal.stderr);
    },
    get exitCode() {
      return terminal.exitCode;
    },
    set exitCode(code) {
      terminal.exitCode = code;
    },
  };
}
