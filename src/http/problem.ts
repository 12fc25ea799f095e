/** Errors as `application/problem+json` (RFC 9457), whatever threw them. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { InvalidWriteError, TooManyObjectsError } from '../domain/objects.ts';
import type { ProblemCode, RefusalReason } from '../errors.ts';
import { PROBLEMS, ProblemError } from '../errors.ts';
import { QueueNotDurableError, QueueUnavailableError } from '../queue/queue.ts';
import { faultKind } from '../store/faults.ts';
import { RequestGoneError } from '../store/requests.ts';
import { BodyBrokenError } from './incoming-body.ts';

/** The media type of errors. */
export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** How long clients are asked to wait, in seconds, when the queue or Postgres is away. */
const RETRY_AFTER = '1';

/** Fastify's own errors that a client can cause, and what Inlet makes of them. */
const FASTIFY_PROBLEMS: Readonly<Record<string, () => ProblemError>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    new ProblemError('unsupported_media_type', 'send the body as Content-Type: application/json'),
  FST_ERR_BAD_URL: () => new ProblemError('invalid_request', 'the path is not correctly percent-encoded'),
};

const CODES_OF_STATUS: ReadonlyMap<number, ProblemCode> = new Map(
  (Object.keys(PROBLEMS) as ProblemCode[]).map((code) => [PROBLEMS[code].status, code]),
);

/**
 * The body of an error's answer. `message` repeats `detail`, and `error` holds it once more, because generated
 * SDKs show the one or the other.
 */
export function problemBody(problem: ProblemError, requestId: string): string {
  const { status, title } = PROBLEMS[problem.code];
  const unnamed = problem.totalIssues - problem.issues.length;
  const body = {
    type: 'about:blank',
    title,
    status,
    code: problem.code,
    detail: problem.message,
    message: problem.message,
    error: { code: problem.code, message: problem.message },
    requestId,
    ...(problem.issues.length > 0 ? { errors: problem.issues } : {}),
    ...(unnamed > 0 ? { more_errors: unnamed } : {}),
  };
  return JSON.stringify(body, wellFormed);
}

/** Errors quote what was sent, and cut it: half of a character in an answer would keep strict clients from reading it. */
function wellFormed(_member: string, value: unknown): unknown {
  return typeof value === 'string' ? value.toWellFormed() : value;
}

/** Answers with an error. */
export function sendProblem(reply: FastifyReply, request: FastifyRequest, problem: ProblemError): void {
  request.problem = problem;
  reply
    .code(PROBLEMS[problem.code].status)
    .headers(problem.headers)
    .header('content-type', PROBLEM_TYPE)
    .header('x-request-id', request.id)
    // Also where the route would let its answer be kept.
    .header('cache-control', 'no-store')
    .send(problemBody(problem, request.id));
}

/** What the client is told of `error`; anything unknown is a bug, of which it learns no more than that. */
export function problemFrom(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof InvalidWriteError) {
    return new ProblemError('invalid_request', error.message, {
      issues: error.issues,
      totalIssues: error.total,
    });
  }
  if (error instanceof TooManyObjectsError) return new ProblemError('too_large', error.message);
  if (error instanceof RequestGoneError) {
    return new ProblemError('not_found', 'the request was deleted while it was being read');
  }
  if (error instanceof BodyBrokenError) return new ProblemError('invalid_request', error.message);
  if (error instanceof QueueNotDurableError) {
    return unavailable(
      'queue_not_durable',
      'the queue could lose what is acknowledged (INLET_REQUIRE_DURABLE_QUEUE): nothing is taken until its settings are mended',
      error,
    );
  }
  if (error instanceof QueueUnavailableError) {
    return unavailable('queue_unavailable', 'the queue cannot take requests at the moment: try again', error);
  }
  if (faultKind(error) === 'infrastructure') {
    return unavailable('store_unavailable', 'the database cannot be reached at the moment: try again', error);
  }
  const refused = refusedByFramework(error);
  if (refused) return refused;
  return new ProblemError('internal_error', 'something went wrong on our side', { cause: error });
}

function unavailable(reason: RefusalReason, detail: string, cause: unknown): ProblemError {
  return new ProblemError('unavailable', detail, { reason, headers: { 'retry-after': RETRY_AFTER }, cause });
}

/** Fastify and its plugins give their errors a status: 4xx is a mistake of the client's, anything else a bug. */
function refusedByFramework(error: unknown): ProblemError | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code = '', statusCode = 500 } = error as Partial<FastifyError>;
  const known = FASTIFY_PROBLEMS[code]?.();
  if (known || statusCode < 400 || statusCode > 499) return known;
  return new ProblemError(CODES_OF_STATUS.get(statusCode) ?? 'invalid_request', error.message);
}
