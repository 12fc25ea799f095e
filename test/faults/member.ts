/** A process of Inlet that faults happen to. */
import { InletProcess } from '../support/process.ts';
import { waitFor } from '../support/wait-for.ts';

const PRELOADS = ['clock', 'exchange'].map((name) => new URL(`./preload/${name}.mjs`, import.meta.url).href);

/**
 * Modules of the build that are exchanged: by the path of the module, like `ingest/worker.js`, the name of what stands in
 * for it.
 */
export type StandIns = Readonly<Record<string, string>>;

function environmentFor(standIns: StandIns): Record<string, string> {
  const urls = Object.entries(standIns).map(([module, name]) => [
    module,
    new URL(`./stand-ins/${name}.mjs`, import.meta.url).href,
  ]);
  return {
    NODE_OPTIONS: PRELOADS.map((url) => `--import ${url}`).join(' '),
    STAND_INS: JSON.stringify(Object.fromEntries(urls)),
  };
}

export interface MemberOptions {
  readonly name: string;
  readonly role: 'api' | 'worker';
  /** What answers `/healthz`, reached directly. */
  readonly port: number;
  readonly environment: Readonly<Record<string, string>>;
  /** Those that each of its processes gets. */
  readonly standIns?: StandIns | undefined;
}

export class Member {
  readonly name: string;
  readonly role: 'api' | 'worker';
  readonly #port: number;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #standIns: StandIns;
  readonly #processes: InletProcess[] = [];
  readonly #ends: string[] = [];
  /** Of each process, how much of its output was looked through for bugs. */
  readonly #seen = new Map<InletProcess, number>();
  #expectsEnd = false;

  constructor({ name, role, port, environment, standIns = {} }: MemberOptions) {
    this.name = name;
    this.role = role;
    this.#port = port;
    this.#environment = environment;
    this.#standIns = standIns;
  }

  /** Starts it; does not wait, because what it needs may be away. */
  start(standIns: StandIns = {}): InletProcess {
    const child = new InletProcess([this.role], {
      ...environmentFor({ ...this.#standIns, ...standIns }),
      ...this.#environment,
    });
    this.#processes.push(child);
    this.#expectsEnd = false;
    void child.ended().then(({ code, stdout, stderr }) => {
      if (this.#expectsEnd) return;
      this.#ends.push(`${this.name} ended by itself (${code}): ${(stdout + stderr).slice(-2_000)}`);
    });
    return child;
  }

  get #current(): InletProcess {
    const child = this.#processes.at(-1);
    if (!child) throw new Error(`${this.name} was never started`);
    return child;
  }

  get pid(): number {
    return this.#current.pid;
  }

  /** Whether it was ended, and not started since. */
  get isEnded(): boolean {
    return this.#expectsEnd;
  }

  /** All that it has written so far, of all of its processes. */
  get output(): string {
    return this.#processes.map(({ stdout, stderr }) => stdout + stderr).join('');
  }

  /** What nobody has asked for since the last call: ends of processes, and bugs that they speak of, also while they run. */
  complaints(): readonly string[] {
    const bugs = this.#processes.flatMap((child) => {
      const { stdout } = child;
      // A line that is not all there yet is looked at the next time.
      const whole = stdout.lastIndexOf('\n') + 1;
      const lines = stdout.slice(this.#seen.get(child) ?? 0, whole).split('\n');
      this.#seen.set(child, whole);
      return lines.filter((line) => /this is a bug|"level":60/.test(line)).slice(0, 5);
    });
    return [...this.#ends.splice(0), ...bugs.map((bug) => `${this.name}: ${bug}`)];
  }

  async kill(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    this.#expectsEnd = true;
    await this.#current.kill(signal);
  }

  /** @param signal SIGSTOP or SIGCONT */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    process.kill(this.pid, signal);
  }

  /** Asks for what it tells of itself: `healthz`, `readyz`, `metrics`. */
  ask(path: string): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.#port}/${path}`, { signal: AbortSignal.timeout(3_000) });
  }

  /** Waits until it can take work. */
  ready(): Promise<void> {
    return this.#answers('readyz');
  }

  /** Waits until it answers at all. */
  alive(): Promise<void> {
    return this.#answers('healthz');
  }

  async #answers(path: string): Promise<void> {
    const asked = async (): Promise<boolean> => (await this.ask(path)).status === 200;
    await waitFor(`${this.name} to answer 200 at /${path}`, asked, 60_000).catch((cause: unknown) => {
      const told = [...this.complaints(), this.output.slice(-4_000)].join('\n');
      throw new Error(`${this.name} does not recover: ${told}`, { cause });
    });
  }

  /** Waits until it has died by itself, of SIGKILL. */
  async died(): Promise<void> {
    this.#expectsEnd = true;
    const { code, stdout, stderr } = await this.#current.ended();
    if (code !== null) throw new Error(`${this.name} ended with ${code}: ${stdout}${stderr}`);
  }

  /** Ends it, and starts it anew. */
  async restart(standIns: StandIns = {}): Promise<void> {
    await this.kill('SIGTERM');
    this.start(standIns);
  }

  async close(): Promise<void> {
    this.#expectsEnd = true;
    await Promise.all(this.#processes.map((child) => child.close()));
  }
}
