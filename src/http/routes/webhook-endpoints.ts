/** `/v1/webhooks/endpoints`: where events are sent to. What a key may not see is answered with 404. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Caller } from '../../access/caller.ts';
import { canSee } from '../../access/caller.ts';
import type { UrlMistake } from '../../domain/webhook-endpoint.ts';
import { readEndpointChanges, readNewEndpoint, readReplay } from '../../domain/webhook-endpoint.ts';
import { isEndpointId } from '../../domain/webhook-ids.ts';
import { ProblemError } from '../../errors.ts';
import type { SeenNamespaces } from '../../store/webhook-endpoints.ts';
import { isEndpointPosition } from '../../store/webhook-endpoints.ts';
import type { Log } from '../../telemetry.ts';
import type { WebhookManagement } from '../../webhooks/management.ts';
import { actorOf } from '../audit.ts';
import { callerOf } from '../auth.ts';
import type { BodyReader } from '../body.ts';
import { nextCursor, readPage } from '../paging.ts';
import { endpointJson, secretsJson } from '../webhook-json.ts';

export interface WebhookRouteDeps {
  readonly webhooks: WebhookManagement;
  /** Tells what is wrong with the URL of an endpoint. */
  readonly webhookUrlMistake: UrlMistake;
  readonly bodies: BodyReader;
  /** Gets a line for each change. */
  readonly log: Log;
}

/** Longest body, in bytes: more than the longest list of namespaces takes up. */
const MAX_BODY = 256 * 1024;

const ENDPOINTS = '/v1/webhooks/endpoints';
const ENDPOINT = `${ENDPOINTS}/:endpointId`;

interface Params {
  Params: { endpointId: string };
}

const reading = { config: { access: { scope: 'read' } } } as const;
const managing = { config: { access: { scope: 'admin' } } } as const;

export function webhookEndpointRoutes(app: FastifyInstance, deps: WebhookRouteDeps): void {
  const { webhooks, webhookUrlMistake, bodies, log } = deps;

  app.post(ENDPOINTS, managing, (request, reply) =>
    bodies.withText(
      request,
      async (text) => {
        const { namespaces, rate, ...fields } = readNewEndpoint(text, webhookUrlMistake);
        const { endpoint, secret } = await webhooks.create(
          {
            ...fields,
            namespaces: grantedNamespaces(callerOf(request), namespaces),
            rate: rate ?? undefined,
          },
          actorOf(request, log),
        );
        secretly(reply).code(201).header('location', `${ENDPOINTS}/${endpoint.id}`);
        return { ...endpointJson(endpoint, true), secret };
      },
      MAX_BODY,
    ),
  );

  app.get(ENDPOINTS, reading, async (request) => {
    const { limit, after } = readPage(request.query);
    if (after !== undefined && !isEndpointPosition(after)) {
      throw new ProblemError('invalid_request', 'query parameter cursor: this is the cursor of another list');
    }
    const { endpoints, next } = await webhooks.list(seenBy(request), { limit, after });
    return {
      data: endpoints.map((endpoint) => endpointJson(endpoint, isAdmin(request))),
      next_cursor: next === undefined ? null : nextCursor(next),
    };
  });

  app.get<Params>(ENDPOINT, reading, async (request) =>
    endpointJson(found(await webhooks.find(seenBy(request), endpointOf(request))), isAdmin(request)),
  );

  app.patch<Params>(ENDPOINT, managing, (request) =>
    bodies.withText(
      request,
      async (text) => {
        const changes = readEndpointChanges(text, webhookUrlMistake);
        const { namespaces } = changes;
        const granted =
          namespaces === undefined
            ? {}
            : { namespaces: grantedNamespaces(callerOf(request), namespaces) ?? null };
        const id = endpointOf(request);
        const asked = { ...changes, ...granted };
        const endpoint = found(await webhooks.update(seenBy(request), id, asked, actorOf(request, log)));
        return endpointJson(endpoint, true);
      },
      MAX_BODY,
    ),
  );

  app.delete<Params>(ENDPOINT, managing, async (request, reply) => {
    const id = endpointOf(request);
    if (!(await webhooks.delete(seenBy(request), id, actorOf(request, log)))) throw noSuchEndpoint();
    reply.code(204);
  });

  app.get<Params>(`${ENDPOINT}/secret`, managing, async (request, reply) => {
    const id = endpointOf(request);
    const secrets = found(await webhooks.secrets(seenBy(request), id));
    secretly(reply);
    return secretsJson(id, secrets);
  });

  app.post<Params>(`${ENDPOINT}/rotate-secret`, managing, async (request, reply) => {
    const id = endpointOf(request);
    const secrets = found(await webhooks.rotate(seenBy(request), id, actorOf(request, log)));
    secretly(reply);
    return secretsJson(id, secrets);
  });

  app.post<Params>(`${ENDPOINT}/test`, managing, async (request, reply) => {
    const webhookId = found(await webhooks.test(seenBy(request), endpointOf(request), request.id));
    if (webhookId === 'disabled') throw disabled();
    reply.code(202);
    return { webhook_id: webhookId, status: 'pending' };
  });

  app.post<Params>(`${ENDPOINT}/replay`, managing, (request) =>
    bodies.withText(
      request,
      async (text) => {
        const which = readReplay(text);
        const replayed = found(await webhooks.replay(seenBy(request), endpointOf(request), which));
        if (replayed === 'disabled') throw disabled();
        return { replayed };
      },
      MAX_BODY,
    ),
  );
}

/** What the caller may see, for statements that look for endpoints. */
export function seenBy(request: FastifyRequest): SeenNamespaces {
  const { namespaces } = callerOf(request);
  return namespaces && [...namespaces];
}

/** Whether the caller may see what could be a secret: URLs as a whole, and what receivers have answered. */
export function isAdmin(request: FastifyRequest): boolean {
  return callerOf(request).scopes.includes('admin');
}

/** What an endpoint that isn't there, or that the caller may not see, is answered with. */
export function noSuchEndpoint(): ProblemError {
  return new ProblemError('not_found', 'there is no such endpoint that this API key can see');
}

/** The endpoint of the path. @throws ProblemError 404 where it is none at all, which Postgres can't always be asked for */
function endpointOf({ params: { endpointId } }: FastifyRequest<Params>): string {
  if (!isEndpointId(endpointId)) throw noSuchEndpoint();
  return endpointId;
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw noSuchEndpoint();
  return value;
}

/**
 * The namespaces that an endpoint is for.
 * @param asked null for all that the caller may see
 * @returns undefined for all that there are
 * @throws ProblemError 403 where the caller can't see one that it asks for
 */
function grantedNamespaces(caller: Caller, asked: string[] | null): string[] | undefined {
  if (asked === null) return caller.namespaces && [...caller.namespaces];
  const unseen = asked.filter((namespace) => !canSee(caller, namespace));
  if (unseen.length === 0) return asked;
  throw new ProblemError('forbidden', `this API key has no access to the namespace ${unseen[0]}`);
}

function disabled(): ProblemError {
  return conflict('this endpoint is disabled, so nothing is sent to it: enable it first ("disabled": false)');
}

/** Something that is refused until somebody has changed something. */
function conflict(detail: string): ProblemError {
  return new ProblemError('conflict', detail, { headers: { 'x-should-retry': 'false' } });
}

/** For answers with a secret, which nobody between here and the client is to keep. */
function secretly(reply: FastifyReply): FastifyReply {
  return reply.header('cache-control', 'no-store');
}
