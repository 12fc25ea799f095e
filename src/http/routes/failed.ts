/** `GET /v1/data/{namespace}/failed` and what is below it: accepted objects that could not be stored. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { locateRequest, REQUEST_ID } from '../../domain/request-id.ts';
import { isoFromMicros, microsFromIso } from '../../domain/time.ts';
import { ProblemError } from '../../errors.ts';
import type { FailedObjects } from '../../ingest/failed-objects.ts';
import type { FailedEntry, FailedPlace } from '../../store/failed-list.ts';
import type { NamespaceParams } from '../namespace.ts';
import { noSuchNamespace, requireNamespace } from '../namespace.ts';
import { nextCursor, readPage, readQuery } from '../paging.ts';

export interface FailedRouteDeps {
  readonly failed: FailedObjects;
}

export interface FailedParams {
  Params: { namespace: string; requestId: string; index: string };
}

/** Places are counted in 32 bits. */
const MAX_INDEX = 2 ** 31 - 1;

const time = z.iso.datetime({ offset: true });

export const failedQuery = z.object({
  request: REQUEST_ID.optional().meta({ description: 'Lists those of this request alone.' }),
  replayable: z
    .enum(['true', 'false'])
    .optional()
    .meta({ description: 'Lists those alone that can be replayed, or cannot.' }),
  failed_before: time.optional().meta({ description: 'Lists those alone that were last tried before this.' }),
  failed_since: time
    .optional()
    .meta({ description: 'Lists those alone that were last tried then or later.' }),
});

export function failedRoutes(app: FastifyInstance, { failed }: FailedRouteDeps): void {
  app.get<NamespaceParams>(
    '/v1/data/:namespace/failed',
    { config: { access: { scope: 'read', unseen: noSuchNamespace } }, onRequest: requireNamespace },
    async ({ params: { namespace }, query }) => {
      const { limit, after } = readPage(query);
      const { request, replayable, failed_before, failed_since } = readQuery(failedQuery, query);
      const scope = {
        namespace,
        requestId: request,
        replayable: replayable === undefined ? undefined : replayable === 'true',
        failedBefore: failed_before === undefined ? undefined : microsFromIso(failed_before),
        failedSince: failed_since === undefined ? undefined : microsFromIso(failed_since),
      };
      const found = await failed.list(scope, after === undefined ? undefined : readPlace(after), limit + 1);
      const page = found.slice(0, limit);
      const last = page.at(-1);
      return {
        data: page.map((entry) => entryJson(namespace, entry)),
        next_cursor: found.length > limit && last ? nextCursor(`${last.requestId} ${last.index}`) : null,
      };
    },
  );

  app.get<FailedParams>(
    '/v1/data/:namespace/failed/:requestId/:index',
    { config: { access: { scope: 'read', unseen: noSuchFailed } }, onRequest: requireNamespace },
    async ({ params }) => {
      const found = await failed.find(params.namespace, placeOf(params));
      if (!found) throw noSuchFailed();
      return { ...entryJson(params.namespace, found), text: found.isDelete ? null : found.text };
    },
  );
}

/** What a place at which nothing has failed is answered with. */
export function noSuchFailed(): ProblemError {
  return new ProblemError(
    'not_found',
    'this namespace has no failed object there: it did not fail, was stored since, or was discarded',
  );
}

/** The place that a path names. @throws ProblemError 404 where it is none at all */
export function placeOf({ requestId, index }: FailedParams['Params']): FailedPlace {
  const place = parsePlace(requestId, index);
  if (!place) throw noSuchFailed();
  return place;
}

function readPlace(key: string): FailedPlace {
  const [requestId = '', index = ''] = key.split(' ');
  const place = parsePlace(requestId, index);
  if (place) return place;
  throw new ProblemError('invalid_request', 'query parameter cursor: this is the cursor of another list');
}

function parsePlace(requestId: string, index: string): FailedPlace | undefined {
  if (!locateRequest(requestId) || !/^\d{1,10}$/.test(index) || Number(index) > MAX_INDEX) return undefined;
  return { requestId, index: Number(index) };
}

function entryJson(namespace: string, entry: FailedEntry) {
  const byPostgres = entry.sqlState !== '';
  return {
    namespace,
    request_id: entry.requestId,
    index: entry.index,
    id: entry.id,
    operation: entry.isDelete ? 'delete' : 'write',
    message: entry.message,
    sqlstate: byPostgres ? entry.sqlState : null,
    replayable: byPostgres,
    attempts: entry.attempts,
    bytes: entry.bytes,
    accepted_at: isoFromMicros(entry.acceptedAt),
    failed_at: isoFromMicros(entry.failedAt),
  };
}
