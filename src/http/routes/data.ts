/** `POST /v1/data/{namespace}`: takes objects and answers when they are durably in the queue. */
import type { FastifyInstance } from 'fastify';
import type { Caller } from '../../access/caller.ts';
import type { RateState } from '../../access/rate-limits.ts';
import { readWriteInSlices } from '../../domain/objects.ts';
import type { Submission } from '../../ingest/group-commit.ts';
import { callerOf } from '../auth.ts';
import type { BodyReader } from '../body.ts';
import type { NamespaceParams } from '../namespace.ts';
import { requireNamespace } from '../namespace.ts';
import { applyRate } from '../rate-limit.ts';
import type { WriteRefusalDeps } from '../write-refusal.ts';
import { refuseWhileFull } from '../write-refusal.ts';

export interface DataRouteDeps extends WriteRefusalDeps {
  /** Resolves to the request id when the submission is durably in the queue. */
  readonly submit: (submission: Submission) => Promise<string>;
  /** Counts objects against the caller's rate; undefined where it has none. */
  readonly takeObjects: (caller: Caller, count: number) => Promise<RateState> | undefined;
  readonly bodies: BodyReader;
  readonly maxObjects: number;
}

export function dataRoutes(app: FastifyInstance, deps: DataRouteDeps): void {
  const { submit, takeObjects, bodies, maxObjects } = deps;
  const onRequest = [requireNamespace, refuseWhileFull(deps)];
  app.post<NamespaceParams>(
    '/v1/data/:namespace',
    { config: { access: { scope: 'write' } }, onRequest },
    (request, reply) =>
      bodies.withText(request, async (text) => {
        const write = await readWriteInSlices(text, maxObjects);
        request.objectCount = write.ids.length;
        const counted = takeObjects(callerOf(request), write.ids.length);
        if (counted) applyRate(reply, await counted);
        const { namespace } = request.params;
        const bytes = Buffer.byteLength(write.objects) + Buffer.byteLength(write.schema ?? '');
        const requestId = await submit({ namespace, ...write, bytes });
        reply.code(202).header('x-request-id', requestId);
        return { requestId, status: 'accepted' };
      }),
  );
}
