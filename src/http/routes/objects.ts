/**
 * `/v1/data/{namespace}/objects`: objects as they are stored, one, some, or all of them, and their versions.
 * Answers are put together as text: stored data must not pass through JavaScript's numbers.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import { idMistake } from '../../domain/objects.ts';
import { isoFromMicros } from '../../domain/time.ts';
import { ProblemError } from '../../errors.ts';
import type { ListPage } from '../../store/object-lists.ts';
import type { StoredObject } from '../../store/objects.ts';
import type { Revision } from '../../store/revisions.ts';
import { callerOf } from '../auth.ts';
import type { NamespaceParams } from '../namespace.ts';
import { requireNamespace } from '../namespace.ts';
import { nextCursor, readPage, readQuery } from '../paging.ts';
import { applyRate } from '../rate-limit.ts';
import type { DataRouteDeps } from './data.ts';

export interface ObjectRouteDeps {
  readonly findObject: (namespace: string, id: string) => Promise<StoredObject | undefined>;
  /** Those that there are of some objects; the page has more where they are too large together. */
  readonly findObjects: (namespace: string, ids: readonly string[]) => Promise<ListPage<StoredObject>>;
  readonly listObjects: (namespace: string, after: string, limit: number) => Promise<ListPage<StoredObject>>;
  /** The versions of an object, the newest first; undefined where the id was never seen. */
  readonly listRevisions: (
    namespace: string,
    id: string,
    before: number | undefined,
    limit: number,
  ) => Promise<ListPage<Revision> | undefined>;
  readonly submit: DataRouteDeps['submit'];
  readonly takeObjects: DataRouteDeps['takeObjects'];
}

/** Most ids that can be asked for at once. */
const MAX_IDS = 100;

interface Params {
  Params: { namespace: string; id: string };
}

export const idsQuery = z.object({
  id: z
    .preprocess(
      (id) => (typeof id === 'string' ? [id] : id),
      z.array(z.string()).max(MAX_IDS, `at most ${MAX_IDS} can be asked for at once`),
    )
    .optional()
    .meta({
      description:
        'Lists these objects alone, as `?id=a&id=b`. All of them are in the one answer: there are no pages.',
    }),
});

export function objectRoutes(app: FastifyInstance, deps: ObjectRouteDeps): void {
  const options = { config: { access: { scope: 'read' } }, onRequest: requireNamespace } as const;
  const writing = { config: { access: { scope: 'write' } }, onRequest: requireNamespace } as const;

  app.get<Params>(
    '/v1/data/:namespace/objects/:id',
    options,
    async ({ params: { namespace, id } }, reply) => {
      const object = canExist(id) ? await deps.findObject(namespace, id) : undefined;
      if (!object) throw noSuchObject();
      return sendJson(reply, objectText(object));
    },
  );

  app.get<NamespaceParams>('/v1/data/:namespace/objects', options, async ({ params, query }, reply) => {
    const { namespace } = params;
    const { id: ids } = readQuery(idsQuery, query);
    if (ids) {
      const { items, hasMore } = await deps.findObjects(namespace, ids.filter(canExist));
      if (hasMore) {
        throw new ProblemError('too_large', 'these objects are too large for one answer: ask for fewer ids');
      }
      return sendJson(reply, listText(items.map(objectText), null));
    }
    const { limit, after } = readPage(query);
    const { items, hasMore } = await deps.listObjects(namespace, after ?? '', limit);
    const last = items.at(-1);
    return sendJson(reply, listText(items.map(objectText), hasMore && last ? nextCursor(last.id) : null));
  });

  app.get<Params>(
    '/v1/data/:namespace/objects/:id/revisions',
    options,
    async ({ params: { namespace, id }, query }, reply) => {
      const { limit, after } = readPage(query);
      const before = after === undefined ? undefined : readRevision(after);
      const page = canExist(id) ? await deps.listRevisions(namespace, id, before, limit) : undefined;
      if (!page) throw noSuchObject();
      const last = page.items.at(-1);
      const next = page.hasMore && last ? nextCursor(String(last.revision)) : null;
      return sendJson(reply, listText(page.items.map(revisionText), next));
    },
  );

  app.delete<Params>('/v1/data/:namespace/objects/:id', writing, async (request, reply) => {
    const { namespace, id } = request.params;
    request.objectCount = 1;
    const mistake = idMistake(id) ?? (canExist(id) ? undefined : 'must not hold U+0000');
    if (mistake) throw new ProblemError('invalid_request', `the id ${mistake}`);
    const counted = deps.takeObjects(callerOf(request), 1);
    if (counted) applyRate(reply, await counted);
    const objects = JSON.stringify(id);
    const bytes = Buffer.byteLength(objects);
    const requestId = await deps.submit({ namespace, ids: [id], isDelete: true, objects, bytes });
    reply.code(202).header('x-request-id', requestId);
    return { requestId, status: 'accepted' };
  });
}

/** Postgres can't hold U+0000, so nothing is stored under an id with it, and it can't be asked for one. */
function canExist(id: string): boolean {
  return !id.includes('\0');
}

function readRevision(key: string): number {
  if (/^\d{1,15}$/.test(key)) return Number(key);
  throw new ProblemError('invalid_request', 'query parameter cursor: this one is of another list');
}

function noSuchObject(): ProblemError {
  return new ProblemError('not_found', 'this namespace has no object with this id');
}

function sendJson(reply: FastifyReply, text: string): string {
  reply.type('application/json; charset=utf-8');
  return text;
}

function objectText(object: StoredObject): string {
  const before = JSON.stringify({ namespace: object.namespace, id: object.id });
  const after = JSON.stringify({
    revision: object.revision,
    request_id: object.requestId,
    accepted_at: isoFromMicros(object.acceptedAt),
    stamp: object.stamp,
    created_at: isoFromMicros(object.createdAt),
    updated_at: isoFromMicros(object.updatedAt),
  });
  return `${before.slice(0, -1)},"data":${object.data},${after.slice(1)}`;
}

function revisionText({ revision, data, requestId, acceptedAt, stamp, updatedAt }: Revision): string {
  const after = JSON.stringify({
    deleted: data === null,
    request_id: requestId,
    accepted_at: isoFromMicros(acceptedAt),
    stamp,
    updated_at: isoFromMicros(updatedAt),
  });
  return `{"revision":${revision},"data":${data},${after.slice(1)}`;
}

function listText(items: readonly string[], next: string | null): string {
  return `{"data":[${items.join(',')}],"next_cursor":${JSON.stringify(next)}}`;
}
