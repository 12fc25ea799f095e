/** `GET /v1/data/{namespace}/requests/{requestId}`: what has become of a request. */
import type { FastifyInstance } from 'fastify';
import { isoFromMicros } from '../../domain/time.ts';
import { ProblemError } from '../../errors.ts';
import type { RequestStatus } from '../../ingest/request-status.ts';
import { requireNamespace } from '../namespace.ts';

export interface RequestRouteDeps {
  readonly findRequest: (namespace: string, id: string) => Promise<RequestStatus | undefined>;
  /** The URL at which an object is read. */
  readonly objectUrl: (namespace: string, id: string) => string;
}

interface Params {
  Params: { namespace: string; requestId: string };
}

export function requestRoutes(app: FastifyInstance, { findRequest, objectUrl }: RequestRouteDeps): void {
  app.get<Params>(
    '/v1/data/:namespace/requests/:requestId',
    { onRequest: requireNamespace },
    async ({ params: { namespace, requestId } }) => {
      const found = await findRequest(namespace, requestId);
      if (!found) throw new ProblemError('not_found', 'this namespace has no such request');
      return describe(found, objectUrl);
    },
  );
}

function describe(request: RequestStatus, objectUrl: RequestRouteDeps['objectUrl']) {
  const { namespace, ids, counts, failures, completedAt } = request;
  return {
    namespace,
    request_id: request.id,
    status: request.status,
    data: ids.map((id) => ({
      id,
      output: { actions: [], labels: [], fields: {} },
      metadata: {},
      url: objectUrl(namespace, id),
    })),
    accepted_at: isoFromMicros(request.acceptedAt),
    completed_at: completedAt === undefined ? null : isoFromMicros(completedAt),
    counts,
    errors: failures,
  };
}
