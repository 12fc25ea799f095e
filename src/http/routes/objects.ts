/** `GET /v1/data/{namespace}/objects/{id}`: an object as it is stored. */
import type { FastifyInstance } from 'fastify';
import { isoFromMicros } from '../../domain/time.ts';
import { ProblemError } from '../../errors.ts';
import type { StoredObject } from '../../store/objects.ts';
import { requireNamespace } from '../namespace.ts';

export interface ObjectRouteDeps {
  readonly findObject: (namespace: string, id: string) => Promise<StoredObject | undefined>;
}

interface Params {
  Params: { namespace: string; id: string };
}

export function objectRoutes(app: FastifyInstance, { findObject }: ObjectRouteDeps): void {
  app.get<Params>(
    '/v1/data/:namespace/objects/:id',
    { onRequest: requireNamespace },
    async ({ params: { namespace, id } }, reply) => {
      // Postgres can't hold U+0000, so nothing is stored under such an id.
      const object = id.includes('\0') ? undefined : await findObject(namespace, id);
      if (!object) throw new ProblemError('not_found', 'this namespace has no object with this id');
      reply.type('application/json; charset=utf-8');
      return objectText(object);
    },
  );
}

/** The answer as text: stored data must not pass through JavaScript's numbers. */
function objectText(object: StoredObject): string {
  const before = JSON.stringify({ namespace: object.namespace, id: object.id });
  const after = JSON.stringify({
    revision: object.revision,
    request_id: object.requestId,
    accepted_at: isoFromMicros(object.acceptedAt),
    created_at: isoFromMicros(object.createdAt),
    updated_at: isoFromMicros(object.updatedAt),
  });
  return `${before.slice(0, -1)},"data":${object.data},${after.slice(1)}`;
}
