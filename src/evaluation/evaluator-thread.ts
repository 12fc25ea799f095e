/**
 * One thread that an evaluator runs in, and the watch over it. Code that never ends, ends the process or uses up all
 * memory holds up or ends the thread and nothing else.
 *
 * Each object's time is measured in the thread. Where code doesn't let the thread come to that, it doesn't answer
 * pings either: it is terminated then, and what else it had in hand is lost, to be evaluated elsewhere.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { MAX_OUTPUT_BYTES } from '../domain/output.ts';
import { forwardLines } from './console-lines.ts';
import { importName } from './module-name.ts';
import type { EvaluationInput, FromThread, ThreadData, ToThread } from './thread-messages.ts';

/**
 * What came of an evaluation in a thread.
 *
 * - `output`: JSON text, not yet looked at for what Postgres can't hold
 * - `failed`: the evaluator has refused, or was late
 * - `lost`: the thread has ended, for another object where `isSuspect` is false
 */
export type ThreadVerdict =
  | { readonly kind: 'output'; readonly output: string }
  | { readonly kind: 'failed'; readonly error: string; readonly isLate: boolean }
  | { readonly kind: 'lost'; readonly reason: string; readonly isSuspect: boolean };

export interface ThreadOptions {
  /** As in INLET_EVALUATOR. */
  readonly module: string;
  /** Longest time that one object may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Told of each line that the evaluator writes to its console. */
  readonly onConsole: (stream: 'stdout' | 'stderr', line: string) => void;
  /** Told when the thread ends though nobody has closed it. @param reason without anything that could be data */
  readonly onLost: (reason: string) => void;
}

/** The module can't be loaded, or has no `evaluate`. The message says why. */
export class UnusableEvaluatorError extends Error {
  override readonly name = 'UnusableEvaluatorError';
}

/** Most of JavaScript's heap that a thread may take up, in MiB: more ends the thread, where it would end the process. */
const MAX_HEAP_MIB = 512;

/** Longest time that a module may take to load, in milliseconds. */
const LOAD_TIMEOUT_MS = 60_000;

/** How often the thread is asked for a sign of life, in milliseconds; more often where objects have less time. */
const LONGEST_TICK_MS = 500;
const SHORTEST_TICK_MS = 25;

/** Code that is given as text imports as from the working directory, and so finds packages that are installed there. */
const START = `
  const { workerData } = require('node:worker_threads');
  import(workerData.file).then(({ run }) => run((module) => import(module)));`;

export class EvaluatorThread {
  readonly #options: ThreadOptions;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #running = new Int32Array(new SharedArrayBuffer(4));
  readonly #inHand = new Map<number, (verdict: ThreadVerdict) => void>();
  readonly #tickMs: number;
  #tasks = 0;
  #onLoaded: ((unusable?: string) => void) | undefined;
  /** Ticks since the thread has last said anything. Counted and not measured: a pause of this process is none of its. */
  #silentTicks = 0;
  #isPinged = false;
  #timer: NodeJS.Timeout | undefined;
  #ended: string | undefined;

  private constructor(options: ThreadOptions) {
    this.#options = options;
    this.#tickMs = Math.min(LONGEST_TICK_MS, Math.max(SHORTEST_TICK_MS, options.timeoutMs / 4));
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const workerData: ThreadData = {
      file: new URL('./thread.js', import.meta.url).href,
      module: importName(options.module),
      port: port2,
      timeoutMs: options.timeoutMs,
      maxOutputBytes: MAX_OUTPUT_BYTES,
      running: this.#running,
    };
    this.#worker = new Worker(START, {
      ...{ eval: true, name: 'evaluator', workerData, transferList: [port2], stdout: true, stderr: true },
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    });
    forwardLines(this.#worker.stdout, (line) => options.onConsole('stdout', line));
    forwardLines(this.#worker.stderr, (line) => options.onConsole('stderr', line));
    this.#port.on('message', (message: FromThread) => this.#hear(message));
    this.#worker.on('error', (error: unknown) => this.#end(textOf(error), { shown: nameOf(error) }));
    this.#worker.on('exit', (code) => {
      this.#hearLast();
      this.#end(`it ended itself with code ${code}`);
    });
  }

  /** @throws UnusableEvaluatorError */
  static async start(options: ThreadOptions): Promise<EvaluatorThread> {
    const thread = new EvaluatorThread(options);
    // One that has ended by now was loaded, and is of no use all the same.
    const unusable = (await thread.#loaded()) ?? thread.ended;
    if (unusable === undefined) return thread;
    await thread.close();
    throw new UnusableEvaluatorError(unusable);
  }

  /** Why it has ended; undefined while it runs. */
  get ended(): string | undefined {
    return this.#ended;
  }

  /** Evaluates an object. Never rejects. */
  run(input: EvaluationInput): Promise<ThreadVerdict> {
    if (this.#ended !== undefined) {
      return Promise.resolve({ kind: 'lost', reason: this.#ended, isSuspect: false });
    }
    return new Promise((resolve) => {
      this.#tasks += 1;
      const task = this.#tasks;
      if (this.#inHand.size === 0) this.#watch();
      this.#inHand.set(task, resolve);
      this.#tell({ kind: 'evaluate', task, input });
    });
  }

  /** Ends it; what is in hand is lost. */
  async close(): Promise<void> {
    this.#lose('it was closed', false);
    await this.#worker.terminate();
  }

  #tell(message: ToThread): void {
    this.#port.postMessage(message);
  }

  async #loaded(): Promise<string | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const unusable = await new Promise<string | undefined>((resolve) => {
      this.#onLoaded = resolve;
      timer = setTimeout(resolve, LOAD_TIMEOUT_MS, `it did not load within ${LOAD_TIMEOUT_MS / 1_000} s`);
    });
    clearTimeout(timer);
    this.#onLoaded = undefined;
    return unusable;
  }

  #hear(message: FromThread): void {
    this.#silentTicks = 0;
    switch (message.kind) {
      case 'ready':
        this.#onLoaded?.();
        break;
      case 'unusable':
        this.#onLoaded?.(message.reason);
        break;
      case 'pong':
        this.#isPinged = false;
        break;
      case 'evaluated':
        this.#settle(message.task, { kind: 'output', output: message.output });
        break;
      case 'failed':
        this.#settle(message.task, { kind: 'failed', error: message.error, isLate: message.isLate });
        break;
    }
  }

  /** A thread that has ended may have said something that nobody has come to hear: the two come on different ways. */
  #hearLast(): void {
    if (this.#ended !== undefined) return;
    for (;;) {
      const last = receiveMessageOnPort(this.#port);
      if (!last) return;
      this.#hear(last.message as FromThread);
    }
  }

  #settle(task: number, verdict: ThreadVerdict): void {
    const resolve = this.#inHand.get(task);
    if (!resolve) return;
    this.#inHand.delete(task);
    if (this.#inHand.size === 0) clearInterval(this.#timer);
    resolve(verdict);
  }

  #watch(): void {
    this.#silentTicks = 0;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#tick(), this.#tickMs);
  }

  #tick(): void {
    this.#silentTicks += 1;
    if (!this.#isPinged) {
      this.#isPinged = true;
      this.#tell({ kind: 'ping' });
    }
    // Two more, in which the thread's own timers have their chance.
    if ((this.#silentTicks - 2) * this.#tickMs > this.#options.timeoutMs) this.#giveUp();
  }

  /** It is blocked by the task whose code it is executing. Where that isn't known, each that it has may be it. */
  #giveUp(): void {
    const [only] = this.#inHand.size === 1 ? this.#inHand.keys() : [];
    const culprit = Atomics.load(this.#running, 0) || only;
    const seconds = this.#options.timeoutMs / 1_000;
    if (culprit !== undefined) {
      const error = `timed out after ${seconds} s, and let nothing else run`;
      this.#settle(culprit, { kind: 'failed', error, isLate: true });
    }
    this.#end(`it was blocked for more than ${seconds} s`, { isSuspect: culprit === undefined });
    void this.#worker.terminate();
  }

  /** The thread has ended by itself, or is about to be terminated. */
  #end(reason: string, { isSuspect = true, shown = reason } = {}): void {
    if (this.#ended !== undefined) return;
    const unusable = this.#onLoaded;
    this.#lose(reason, isSuspect);
    if (unusable) unusable(reason);
    else this.#options.onLost(shown);
  }

  #lose(reason: string, isSuspect: boolean): void {
    this.#ended ??= reason;
    clearInterval(this.#timer);
    this.#port.close();
    for (const task of [...this.#inHand.keys()]) this.#settle(task, { kind: 'lost', reason, isSuspect });
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : `threw ${String(error)}`;
}

/** Messages of an evaluator may quote what it was given. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return 'it threw something that nobody has caught';
  const code = 'code' in error ? ` (${String(error.code)})` : '';
  return `it threw ${error.name}${code}, which nobody has caught`;
}
