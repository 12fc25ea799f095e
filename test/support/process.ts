/** The inlet command as a process of its own, as operators run it. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { checkAnswersOf } from './answers.ts';
import { waitFor } from './wait-for.ts';

/** The built command; `npm test` builds it first. */
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class InletProcess {
  readonly #child: ChildProcess;
  #stdout = '';
  #stderr = '';

  /**
   * @param environment what the command sees of the environment, beside `PATH` and `HOME`
   * @param input what it reads from standard input
   */
  constructor(args: readonly string[], environment: Record<string, string>, input?: string) {
    const inherited = Object.fromEntries(
      ['PATH', 'HOME', 'TMPDIR'].flatMap((name) => {
        const value = process.env[name];
        return value === undefined ? [] : [[name, value]];
      }),
    );
    this.#child = spawn(process.execPath, [CLI, ...args], {
      // No folder: what a role remembers is not to be left behind.
      env: { INLET_DATA_DIR: '/dev/null/inlet', ...inherited, ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stdin?.end(input ?? '');
    this.#child.stdout?.on('data', (chunk) => {
      this.#stdout += chunk;
    });
    this.#child.stderr?.on('data', (chunk) => {
      this.#stderr += chunk;
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get stdout(): string {
    return this.#stdout;
  }

  /** Waits until the log holds a line with this message, and returns that line. */
  async logged(message: string): Promise<Record<string, unknown>> {
    const found = await waitFor(
      `the log to say "${message}"`,
      () => this.#lineWith(message) ?? (this.#child.exitCode !== null && 'ended'),
    );
    if (found === 'ended') throw new Error(`ended early:\n${this.#stdout}${this.#stderr}`);
    return found;
  }

  #lineWith(message: string): Record<string, unknown> | undefined {
    const whole = this.#stdout.slice(0, this.#stdout.lastIndexOf('\n') + 1).split('\n');
    return whole
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .find((line) => String(line['msg']).includes(message));
  }

  /** The URL at which the API listens, once it does. */
  async apiUrl(): Promise<string> {
    const url = String((await this.logged('the API listens'))['url']);
    checkAnswersOf(url);
    return url;
  }

  async ended(): Promise<Ended> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'close');
    return { code: this.#child.exitCode, stdout: this.#stdout, stderr: this.#stderr };
  }

  /** Sends a signal and waits for the end. */
  async kill(signal: NodeJS.Signals): Promise<Ended> {
    this.#child.kill(signal);
    return this.ended();
  }

  /** Ends it where it still runs. */
  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.kill('SIGKILL');
  }
}

/** Runs the command to its end. */
export function runInlet(
  args: readonly string[],
  environment: Record<string, string> = {},
  input?: string,
): Promise<Ended> {
  return new InletProcess(args, environment, input).ended();
}
