/**
 * Replays and discards of failed objects. Both need the scope `write`: a replay does nothing that sending the object again
 * would not do, and a discard takes away what was written.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ReplayOrder } from '../../domain/batch.ts';
import { readDiscardSome, readReplayOne, readReplaySome } from '../../domain/failed-bodies.ts';
import { isoFromMicros } from '../../domain/time.ts';
import { ProblemError } from '../../errors.ts';
import type { FailedObjects, RequestedReplay } from '../../ingest/failed-objects.ts';
import type { BodyReader } from '../body.ts';
import type { NamespaceParams } from '../namespace.ts';
import { noSuchNamespace, requireNamespace } from '../namespace.ts';
import type { WriteRefusalDeps } from '../write-refusal.ts';
import { refuseWhileFull } from '../write-refusal.ts';
import type { FailedParams } from './failed.ts';
import { noSuchFailed, placeOf } from './failed.ts';

export interface FailedActionDeps extends WriteRefusalDeps {
  readonly failed: FailedObjects;
  readonly bodies: BodyReader;
}

/** Longest body, in bytes. */
const MAX_BODY = 1_024;

/** Most objects that one call discards: it is one statement. */
const MAX_DISCARDED = 10_000;

export function failedActionRoutes(app: FastifyInstance, deps: FailedActionDeps): void {
  const { failed, bodies } = deps;
  const ofOne = { access: { scope: 'write', unseen: noSuchFailed } } as const;
  const ofSome = { access: { scope: 'write', unseen: noSuchNamespace } } as const;
  const replaying = [requireNamespace, refuseWhileFull(deps)];

  app.post<FailedParams>(
    '/v1/data/:namespace/failed/:requestId/:index/replay',
    { config: ofOne, onRequest: replaying },
    (request, reply) =>
      bodies.withText(
        request,
        async (text) => {
          const { order } = readReplayOne(text);
          const { namespace } = request.params;
          const replayed = await failed.replay({ namespace, ...placeOf(request.params) }, order);
          if (replayed.refused > 0) throw notReplayable();
          if (replayed.objects === 0) throw noSuchFailed();
          return accepted(request, reply, replayed, order);
        },
        MAX_BODY,
      ),
  );

  app.post<NamespaceParams>(
    '/v1/data/:namespace/failed/replay',
    { config: ofSome, onRequest: replaying },
    (request, reply) =>
      bodies.withText(
        request,
        async (text) => {
          const { order, request: requestId } = readReplaySome(text);
          const replayed = await failed.replay({ namespace: request.params.namespace, requestId }, order);
          return accepted(request, reply, replayed, order);
        },
        MAX_BODY,
      ),
  );

  app.delete<FailedParams>(
    '/v1/data/:namespace/failed/:requestId/:index',
    { config: ofOne, onRequest: requireNamespace },
    async ({ params }) => {
      const { namespace } = params;
      const place = placeOf(params);
      const discarded = await failed.discard({ namespace, ...place }, 1);
      // Who asks twice, because an answer got lost, has what was asked for.
      if (discarded === 0 && !(await failed.isDiscarded(namespace, place))) throw noSuchFailed();
      return { discarded, has_more: false };
    },
  );

  app.post<NamespaceParams>(
    '/v1/data/:namespace/failed/discard',
    { config: ofSome, onRequest: requireNamespace },
    (request) =>
      bodies.withText(
        request,
        async (text) => {
          const { request: requestId } = readDiscardSome(text);
          const { namespace } = request.params;
          const discarded = await failed.discard({ namespace, requestId }, MAX_DISCARDED);
          return { discarded, has_more: discarded === MAX_DISCARDED };
        },
        MAX_BODY,
      ),
  );
}

function notReplayable(): ProblemError {
  return new ProblemError(
    'conflict',
    'this line of a file was refused because it holds no object that can be stored: mend it and send it anew',
    { headers: { 'x-should-retry': 'false' } },
  );
}

/** Makes the answer a 202, and tells the log of how many objects. @returns its body */
function accepted(
  request: Pick<FastifyRequest, 'objectCount'>,
  reply: Pick<FastifyReply, 'code'>,
  { objects, refused, at }: RequestedReplay,
  order: ReplayOrder,
) {
  request.objectCount = objects;
  reply.code(202);
  return { status: 'accepted', objects, not_replayable: refused, order, requested_at: isoFromMicros(at) };
}
