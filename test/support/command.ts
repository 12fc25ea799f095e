/** The inlet command in this process: what it does, prints and ends with, without the cost of a process. */
import { Readable, Writable } from 'node:stream';
import { createProgram, reportError } from '../../src/commands/program.ts';
import type { Terminal } from '../../src/commands/terminal.ts';
import type { Ended } from './process.ts';

/**
 * Runs a command to its end. Not for roles and `migrate`, which write to the process's own standard output.
 * @param env all that it sees of the environment
 * @param input what it reads from standard input
 */
export async function runCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input = '',
): Promise<Ended> {
  const stdout = new Screen();
  const stderr = new Screen();
  const terminal: Terminal = { env, stdin: Readable.from([input]), stdout, stderr };
  try {
    await createProgram(terminal).parseAsync(args, { from: 'user' });
  } catch (error) {
    terminal.exitCode = reportError(error, stderr);
  }
  return { code: Number(terminal.exitCode ?? 0), stdout: stdout.text, stderr: stderr.text };
}

/** A screen that is not a terminal, and keeps what is written to it. */
class Screen extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk;
    done();
  }
}
