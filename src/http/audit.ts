/** Audit lines of what is changed over HTTP: who did it, from where, and what it is now. */
import type { FastifyRequest } from 'fastify';
import { isOfSettings } from '../access/caller.ts';
import type { ListedEndpoint } from '../store/webhook-endpoints.ts';
import type { Log } from '../telemetry.ts';
import type { Actor, EndpointAction } from '../webhooks/management.ts';
import { callerOf } from './auth.ts';

const MESSAGES: Readonly<Record<EndpointAction, string>> = {
  created: 'a webhook endpoint was created',
  updated: 'a webhook endpoint was updated',
  deleted: 'a webhook endpoint was deleted',
  secret_rotated: 'the secret of a webhook endpoint was rotated',
};

/** Who makes a request that changes endpoints. Each change has a line in the log. */
export function actorOf(request: FastifyRequest, log: Pick<Log, 'info'>): Actor {
  const caller = callerOf(request);
  const who = { requestId: request.id, key: caller.id, keyName: caller.name, client: request.ip };
  return {
    keyId: caller.id,
    isOfSettings: isOfSettings(caller),
    audit(action, id, endpoint) {
      const line = { audit: `webhook_endpoint.${action}`, ...who, endpoint: id };
      log.info({ ...line, ...(endpoint && stateOf(endpoint)) }, MESSAGES[action]);
    },
  };
}

/** Of its URL the origin has to do: the rest may hold secrets. */
function stateOf({ url, namespaces, events, disabled }: ListedEndpoint) {
  return {
    destination: new URL(url).origin,
    namespaces: namespaces ?? null,
    events,
    disabled: disabled !== undefined,
  };
}
