/** `GET /v1/data/{namespace}/requests` and `…/{requestId}`: what has become of requests. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { locateRequest } from '../../domain/request-id.ts';
import { ProblemError } from '../../errors.ts';
import type { RequestReads } from '../../ingest/request-reads.ts';
import type { ObjectFailure } from '../../store/failed-objects.ts';
import type { RequestRecord } from '../../store/requests.ts';
import { REQUEST_STATUSES } from '../../store/requests.ts';
import type { NamespaceParams } from '../namespace.ts';
import { noSuchNamespace, requireNamespace } from '../namespace.ts';
import { nextCursor, readPage, readQuery } from '../paging.ts';
import { requestSummary, resultText } from '../request-text.ts';

export interface RequestRouteDeps extends RequestReads {
  /** The URL at which an object is read. */
  readonly objectUrl: (namespace: string, id: string) => string;
}

export interface RequestParams {
  Params: { namespace: string; requestId: string };
}

/** Largest answer about one request. */
const MAX_ANSWER_BYTES = 5 * 1024 * 1024;

/** `results=false` leaves them out, and most errors: for who only wants to know how far a request is. */
export const resultsQuery = z.object({
  results: z.enum(['true', 'false']).default('true').meta({
    description: '`false` leaves the results out, and all but the first errors.',
  }),
});

export const statusQuery = z.object({
  status: z.enum(REQUEST_STATUSES).optional().meta({
    description: 'Lists those alone that are at this point.',
  }),
});

export function requestRoutes(app: FastifyInstance, deps: RequestRouteDeps): void {
  app.get<NamespaceParams>(
    '/v1/data/:namespace/requests',
    { config: { access: { scope: 'read', unseen: noSuchNamespace } }, onRequest: requireNamespace },
    async ({ params: { namespace }, query }) => {
      const { limit, after } = readPage(query);
      const { status } = readQuery(statusQuery, query);
      if (after !== undefined && !locateRequest(after)) {
        throw new ProblemError(
          'invalid_request',
          'query parameter cursor: this is the cursor of another list',
        );
      }
      const { requests, next } = await deps.listRequests(namespace, { limit, after, status });
      return {
        data: requests.map(requestSummary),
        next_cursor: next === undefined ? null : nextCursor(next),
      };
    },
  );

  app.get<RequestParams>(
    '/v1/data/:namespace/requests/:requestId',
    { config: { access: { scope: 'read', unseen: noSuchRequest } }, onRequest: requireNamespace },
    async ({ params: { namespace, requestId }, query }, reply) => {
      const { results } = readQuery(resultsQuery, query);
      const found = await deps.findRequest(namespace, requestId);
      if (!found) throw noSuchRequest();
      if (results === 'false')
        return { ...requestSummary(found), data: [], errors: await firstFailures(found, deps) };
      reply.type('application/json; charset=utf-8');
      return requestText(found, deps);
    },
  );
}

/** What a request that isn't there is answered with. */
export function noSuchRequest(): ProblemError {
  return new ProblemError('not_found', 'this namespace has no such request');
}

/** How many errors an answer without results names. */
const FIRST_FAILURES = 100;

async function firstFailures(
  request: RequestRecord,
  { failures }: RequestRouteDeps,
): Promise<readonly ObjectFailure[]> {
  if (request.failed === 0) return [];
  for await (const page of failures(request)) return page.slice(0, FIRST_FAILURES);
  return [];
}

/** @throws ProblemError 413 as soon as the answer is too large, so that no more of it is read than may be sent */
async function requestText(request: RequestRecord, deps: RequestRouteDeps): Promise<string> {
  const { accepted_at, completed_at, counts, ...head } = requestSummary(request);
  const tail = JSON.stringify({ accepted_at, completed_at, counts });
  let bytes = Buffer.byteLength(tail) + 200;
  const take = (text: string): string => {
    bytes += Buffer.byteLength(text) + 1;
    if (bytes > MAX_ANSWER_BYTES) throw tooLarge(request);
    return text;
  };

  const data: string[] = [];
  if (request.completedAt !== undefined) {
    for await (const page of deps.results(request))
      for (const result of page)
        data.push(take(resultText(result, deps.objectUrl(request.namespace, result.id))));
  }
  const errors: string[] = [];
  if (request.failed > 0) {
    for await (const page of deps.failures(request))
      for (const failure of page) errors.push(take(JSON.stringify(failure)));
  }
  return `${JSON.stringify(head).slice(0, -1)},"data":[${data}],${tail.slice(1, -1)},"errors":[${errors}]}`;
}

function tooLarge({ namespace, id }: RequestRecord): ProblemError {
  return new ProblemError(
    'too_large',
    `the answer is larger than ${MAX_ANSWER_BYTES} bytes: ` +
      `get the results as a file, from GET /v1/data/${namespace}/requests/${id}/results/download-url`,
  );
}
