/** What the log tells of attempts to deliver: whose, and why they failed; nothing of URLs, secrets and objects. */
import type { WebhookEvent } from '../domain/webhook-body.ts';
import type { DisabledEndpoint } from '../store/webhook-outcomes.ts';
import type { Log } from '../telemetry.ts';
import type { MadeAttempt } from './conclude.ts';
import type { Outcome } from './outcome-writer.ts';

/** Tells of an attempt that failed, and with the level `debug` of one that did not. */
export function reportAttempt(log: Log, made: MadeAttempt, event: WebhookEvent, { delivery }: Outcome): void {
  const { attempt, durationMs } = made;
  const line = {
    endpoint: made.endpointId,
    webhook: made.webhookId,
    event: event.type,
    namespace: event.namespace,
    outcome: attempt.outcome,
    status: attempt.statusCode,
    ms: durationMs,
    attempts: made.tries + 1,
  };
  if (delivery.status === 'succeeded') {
    log.debug(line, 'delivered a webhook');
  } else if (delivery.status === 'pending') {
    const retryInSeconds = Math.round(delivery.retryMs / 1_000);
    log.info({ ...line, error: attempt.error, retryInSeconds }, 'could not deliver a webhook yet');
  } else {
    log.warn({ ...line, error: attempt.error }, 'gave a webhook up: it can be replayed');
  }
}

const DISABLED = {
  gone: 'disabled a webhook endpoint: its receiver has answered 410 and wants nothing more',
  failing: 'disabled a webhook endpoint: nothing could be delivered to it for 5 days',
} as const;

/** Tells of an endpoint that gets nothing more until somebody enables it again. */
export function reportDisabled(log: Log, { endpointId, reason }: DisabledEndpoint): void {
  log.warn({ endpoint: endpointId, reason }, DISABLED[reason]);
}
