/** The registry of errors: what a client is told, by code, and what an operator is told at start. */
import type { Issue } from './domain/storable.ts';

/** Every error that the API answers with. The code is stable; titles may be reworded. */
export const PROBLEMS = {
  invalid_request: { status: 400, title: 'Invalid request' },
  unauthorized: { status: 401, title: 'Unauthorized' },
  forbidden: { status: 403, title: 'Forbidden' },
  not_found: { status: 404, title: 'Not found' },
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  request_timeout: { status: 408, title: 'Request timeout' },
  conflict: { status: 409, title: 'Conflict' },
  too_large: { status: 413, title: 'Content too large' },
  unsupported_media_type: { status: 415, title: 'Unsupported media type' },
  rate_limited: { status: 429, title: 'Too many requests' },
  headers_too_large: { status: 431, title: 'Request header fields too large' },
  internal_error: { status: 500, title: 'Internal server error' },
  unavailable: { status: 503, title: 'Service unavailable' },
  queue_full: { status: 503, title: 'Queue full' },
} as const;

export type ProblemCode = keyof typeof PROBLEMS;

/** Why requests are refused that would have been taken at another time. */
export type RefusalReason =
  | 'queue_unavailable'
  | 'queue_not_durable'
  | 'store_unavailable'
  | 'body_memory'
  | 'too_many_uploads';

interface ProblemOptions extends ErrorOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly issues?: readonly Issue[];
  /** How many issues there are altogether, where `issues` holds only the first ones. */
  readonly totalIssues?: number;
  /** Which of several causes of the same code it is, for the log and the metrics; clients don't see it. */
  readonly reason?: RefusalReason;
}

/** An error that the client is told as it is. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly code: ProblemCode;
  readonly headers: Readonly<Record<string, string>>;
  readonly issues: readonly Issue[];
  readonly totalIssues: number;
  readonly reason: RefusalReason | undefined;

  /** @param detail what is wrong and what to do about it, for the client */
  constructor(code: ProblemCode, detail: string, options: ProblemOptions = {}) {
    super(detail, options);
    this.code = code;
    this.headers = options.headers ?? {};
    this.issues = options.issues ?? [];
    this.totalIssues = options.totalIssues ?? this.issues.length;
    this.reason = options.reason;
  }
}

/** Something that Inlet needs is away: worth a retry, and no bug. */
export class UnavailableError extends Error {}

/**
 * An error meant for the operator: the command prints its message as one line, without a stack, and exits
 * with 1. The message says what was found and what to do next.
 */
export class OperatorError extends Error {
  override readonly name = 'OperatorError';
}
