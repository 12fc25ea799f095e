/** `POST /v1/data/{namespace}`: takes objects and answers when they are durably in the queue. */
import type { FastifyInstance } from 'fastify';
import { readWrite } from '../../domain/objects.ts';
import type { Submission } from '../../ingest/group-commit.ts';
import { bodyText } from '../body.ts';
import type { NamespaceParams } from '../namespace.ts';
import { requireNamespace } from '../namespace.ts';

export interface DataRouteDeps {
  /** Resolves to the request id when the submission is durably in the queue. */
  readonly submit: (submission: Submission) => Promise<string>;
  readonly bodyLimit: number;
  readonly maxObjects: number;
}

export function dataRoutes(app: FastifyInstance, { submit, bodyLimit, maxObjects }: DataRouteDeps): void {
  app.post<NamespaceParams>(
    '/v1/data/:namespace',
    { onRequest: requireNamespace, bodyLimit },
    async (request, reply) => {
      const text = await bodyText(request.body, request.headers['content-encoding'], bodyLimit);
      const write = readWrite(text, maxObjects);
      const { namespace } = request.params;
      const bytes = Buffer.byteLength(write.objects) + Buffer.byteLength(write.schema ?? '');
      const requestId = await submit({ namespace, ...write, bytes });
      reply.code(202).header('x-request-id', requestId);
      return { requestId, status: 'accepted' };
    },
  );
}
