/** Endpoints, their secrets and deliveries as answers show them. */
import { isoFromMicros } from '../domain/time.ts';
import type { Delivery } from '../store/webhook-deliveries.ts';
import type { ListedEndpoint } from '../store/webhook-endpoints.ts';
import type { WebhookSecret } from '../store/webhook-secrets.ts';

/** @param isAdmin whether the caller may see what could be secret: without it, of URLs their origin alone is shown */
export function endpointJson(endpoint: ListedEndpoint, isAdmin: boolean) {
  const { id, url, description, namespaces, events, rate, disabled } = endpoint;
  return {
    id,
    url: isAdmin ? url : `${new URL(url).origin}/***`,
    description,
    namespaces: namespaces ?? null,
    events,
    rate: rate ?? null,
    disabled: disabled !== undefined,
    disabled_reason: disabled?.reason ?? null,
    disabled_at: disabled?.at.toISOString() ?? null,
    failing_since: endpoint.failingSince?.toISOString() ?? null,
    paused_until: endpoint.pausedUntil?.toISOString() ?? null,
    created_by: endpoint.createdBy ?? null,
    url_set_by: endpoint.urlSetBy ?? null,
    created_at: endpoint.createdAt.toISOString(),
    updated_at: endpoint.updatedAt.toISOString(),
  };
}

/** @param secrets the current one first */
export function secretsJson(id: string, secrets: readonly WebhookSecret[]) {
  return {
    id,
    secret: secrets[0]?.secret,
    secrets: secrets.map(({ secret, createdAt, expiresAt }) => ({
      secret,
      created_at: createdAt.toISOString(),
      expires_at: expiresAt?.toISOString() ?? null,
    })),
  };
}

/** @param isAdmin whether the caller may see what receivers have answered, which may hold anything */
export function deliveryJson(delivery: Delivery, isAdmin: boolean) {
  const { endpointId, webhookId, type, namespace, objectId, requestId, status, attempts } = delivery;
  // A test is about no object.
  const isTest = namespace === '';
  return {
    webhook_id: webhookId,
    endpoint_id: endpointId,
    type,
    namespace: isTest ? null : namespace,
    id: isTest ? null : objectId,
    request_id: requestId,
    accepted_at: isoFromMicros(delivery.acceptedAt),
    status,
    attempts: isAdmin ? attempts : attempts.map((attempt) => ({ ...attempt, response: null })),
    next_attempt_at: delivery.nextAttemptAt === undefined ? null : isoFromMicros(delivery.nextAttemptAt),
    created_at: isoFromMicros(delivery.createdAt),
    completed_at: delivery.completedAt === undefined ? null : isoFromMicros(delivery.completedAt),
  };
}
