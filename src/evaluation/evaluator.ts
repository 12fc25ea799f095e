/**
 * The evaluator as a worker uses it: so many objects at a time in one thread, which is replaced when it ends. Each
 * object ends with an output or an error of its own, whatever those beside it do.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { findUnstorable, Issues, storableText } from '../domain/storable.ts';
import { Turns } from '../domain/turns.ts';
import { OperatorError } from '../errors.ts';
import { Throttle } from '../telemetry/throttle.ts';
import type { Log } from '../telemetry.ts';
import type { ThreadOptions, ThreadVerdict } from './evaluator-thread.ts';
import { EvaluatorThread, UnusableEvaluatorError } from './evaluator-thread.ts';
import { missingFile } from './module-name.ts';
import type { EvaluationInput } from './thread-messages.ts';

/** What came of an object: an output as JSON text that Postgres can hold, or why there is none. */
export type Evaluation =
  | { readonly outcome: 'succeeded'; readonly output: string }
  | { readonly outcome: 'failed' | 'timed_out'; readonly error: string };

/** Told of what becomes of the evaluator. Times are milliseconds. */
export interface EvaluatorObserver {
  /** @param ms how long it took from the object's turn on, with all threads that it was tried in */
  readonly onEvaluated?: (outcome: Evaluation['outcome'], ms: number) => void;
  /** A thread has ended and is replaced. */
  readonly onThreadLost?: () => void;
}

export interface EvaluatorOptions {
  /** As in INLET_EVALUATOR. */
  readonly module: string;
  /** Objects in the thread at one time. */
  readonly concurrency: number;
  /** Longest time that one object may take, in milliseconds. */
  readonly timeoutMs: number;
  readonly log: Log;
  readonly observer?: EvaluatorObserver;
}

/** How often an object is tried beside others whose code ends the thread; then it gets a thread to itself. */
const TRIES_BESIDE_OTHERS = 3;

/** How long to wait before a module that can't be loaded any more is tried again, in milliseconds. */
const RELOAD_MS = 5_000;

export class Evaluator {
  readonly #options: EvaluatorOptions;
  readonly #threadOptions: ThreadOptions;
  readonly #turns: Turns;
  /** Objects that may have ended a thread are tried alone, one after the other. */
  readonly #alone = new Turns(1);
  readonly #closing = new AbortController();
  readonly #threads = new Set<EvaluatorThread>();
  #current: Promise<EvaluatorThread>;

  private constructor(options: EvaluatorOptions, threadOptions: ThreadOptions, first: EvaluatorThread) {
    this.#options = options;
    this.#threadOptions = threadOptions;
    this.#turns = new Turns(options.concurrency);
    this.#threads.add(first);
    this.#current = Promise.resolve(first);
  }

  /** @throws OperatorError where the module can't be used */
  static async start(options: EvaluatorOptions): Promise<Evaluator> {
    const forThreads = threadOptions(options);
    try {
      return new Evaluator(options, forThreads, await EvaluatorThread.start(forThreads));
    } catch (error) {
      if (!(error instanceof UnusableEvaluatorError)) throw error;
      const [why] = error.message.split('\n');
      const file = missingFile(options.module);
      const noFile = file === undefined ? '' : `there is no file ${file}, and as the name of a package: `;
      throw new OperatorError(
        `INLET_EVALUATOR is ${JSON.stringify(options.module)}, which cannot be used as an evaluator: ${noFile}${why}`,
      );
    }
  }

  /** Objects that are evaluated at one time. */
  get concurrency(): number {
    return this.#options.concurrency;
  }

  /**
   * Evaluates an object when it is its turn.
   * @param stopping where it is aborted by then, the object isn't evaluated any more
   * @throws the reason of `stopping`, and an error once it was closed
   */
  async evaluate(input: EvaluationInput, stopping: AbortSignal): Promise<Evaluation> {
    return this.#turns.take(async () => {
      stopping.throwIfAborted();
      const begun = performance.now();
      const evaluation = checked(await this.#run(input));
      this.#options.observer?.onEvaluated?.(evaluation.outcome, performance.now() - begun);
      return evaluation;
    });
  }

  /** Ends all threads. Objects in hand come to nothing. */
  async close(): Promise<void> {
    this.#closing.abort(new Error('the evaluator was closed'));
    await Promise.all([...this.#threads].map((thread) => thread.close()));
  }

  async #run(input: EvaluationInput): Promise<Settled> {
    for (let tries = 1; ; tries += 1) {
      const thread = await this.#thread();
      const verdict = await thread.run(input);
      if (verdict.kind !== 'lost') return verdict;
      if (verdict.isSuspect || tries === TRIES_BESIDE_OTHERS) {
        return this.#alone.take(() => this.#runAlone(input));
      }
    }
  }

  /** In a thread of its own: should that end, it was this object's doing. */
  async #runAlone(input: EvaluationInput): Promise<Settled> {
    const thread = await this.#start();
    try {
      const verdict = await thread.run(input);
      if (verdict.kind !== 'lost') return verdict;
      this.#closing.signal.throwIfAborted();
      return { kind: 'failed', error: `ended its thread: ${verdict.reason}`, isLate: false };
    } finally {
      this.#threads.delete(thread);
      await thread.close();
    }
  }

  /** The thread that all share. Whoever finds it ended first replaces it. */
  async #thread(): Promise<EvaluatorThread> {
    const current = await this.#current;
    if (current.ended !== undefined && this.#threads.delete(current)) {
      this.#current = this.#start();
      this.#current.catch(() => undefined);
    }
    return this.#current;
  }

  /** Starts another thread. The module was usable once, so it is waited for. */
  async #start(): Promise<EvaluatorThread> {
    for (const { signal } = this.#closing; ; ) {
      signal.throwIfAborted();
      try {
        const thread = await EvaluatorThread.start(this.#threadOptions);
        this.#threads.add(thread);
        return thread;
      } catch (err) {
        if (!(err instanceof UnusableEvaluatorError)) throw err;
        this.#options.log.error({ err }, 'the evaluator cannot be loaded any more: it is tried again');
      }
      await delay(RELOAD_MS, undefined, { signal });
    }
  }
}

type Settled = Exclude<ThreadVerdict, { kind: 'lost' }>;

function threadOptions({ module, timeoutMs, log, observer }: EvaluatorOptions): ThreadOptions {
  const lost = new Throttle();
  return {
    module,
    timeoutMs,
    onConsole: (stream, line) => {
      if (stream === 'stdout') log.info({ evaluator: line }, 'the evaluator says');
      else log.warn({ evaluator: line }, 'the evaluator warns');
    },
    onLost: (reason) => {
      observer?.onThreadLost?.();
      lost.tell(reason, (leftOut) =>
        log.error({ reason, ...leftOut }, "the evaluator's thread has ended, and is replaced"),
      );
    },
  };
}

/** What Postgres could not hold is the evaluator's mistake. */
function checked(verdict: Settled): Evaluation {
  if (verdict.kind === 'failed') {
    return { outcome: verdict.isLate ? 'timed_out' : 'failed', error: storableText(verdict.error) };
  }
  const issues = new Issues();
  findUnstorable(verdict.output, 0, issues);
  const [issue] = issues.first;
  if (!issue) return { outcome: 'succeeded', output: verdict.output };
  const error = `answered what cannot be stored: ${issue.path}: ${issue.message}`;
  return { outcome: 'failed', error: storableText(error) };
}
