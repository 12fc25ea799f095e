/** What the worker and the evaluator's thread tell each other. */
import type { MessagePort } from 'node:worker_threads';

/** An object that is to be evaluated. */
export interface EvaluationInput {
  readonly namespace: string;
  readonly id: string;
  /** The request that has written this version. */
  readonly requestId: string;
  readonly revision: number;
  /** JSON text. */
  readonly data: string;
  /** JSON text of the former version; null where there is none, or where it was deleted in it. */
  readonly previous: string | null;
}

/** What a thread is started with. */
export interface ThreadData {
  /** URL of the file that the thread runs. */
  readonly file: string;
  /** What is imported as the evaluator. */
  readonly module: string;
  readonly port: MessagePort;
  readonly timeoutMs: number;
  readonly maxOutputBytes: number;
  /** One number: the task that the thread is executing code of at this moment; 0 while it isn't. Shared. */
  readonly running: Int32Array;
}

/** Tasks are numbered from 1. */
export type ToThread =
  | { readonly kind: 'ping' }
  | { readonly kind: 'evaluate'; readonly task: number; readonly input: EvaluationInput };

export type FromThread =
  | { readonly kind: 'pong' }
  /** The module is loaded. */
  | { readonly kind: 'ready' }
  /** It can't be. */
  | { readonly kind: 'unusable'; readonly reason: string }
  | { readonly kind: 'evaluated'; readonly task: number; readonly output: string }
  | { readonly kind: 'failed'; readonly task: number; readonly error: string; readonly isLate: boolean };
