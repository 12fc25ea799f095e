/** What the log tells of attempts to deliver: whose, and why they failed; nothing of URLs, secrets and objects. */
import type { WebhookEvent } from '../domain/webhook-body.ts';
import type { DisabledEndpoint } from '../store/webhook-outcomes.ts';
import { Throttle } from '../telemetry/throttle.ts';
import type { Log } from '../telemetry.ts';
import type { MadeAttempt } from './conclude.ts';
import type { Outcome } from './outcome-writer.ts';

/** Most ways to fail that are told apart. Each of 500 endpoints has a few. */
const MOST_WAYS = 5_000;

/** Told of each attempt. */
export type AttemptReporter = (made: MadeAttempt, event: WebhookEvent, outcome: Outcome) => void;

/**
 * Tells of attempts that failed, and with the level `debug` of those that did not. Of many that fail in the same way there is a
 * line every ten seconds, which says how many it left out: each stands with its delivery.
 */
export function attemptReporter(log: Log): AttemptReporter {
  const throttle = new Throttle(MOST_WAYS);
  return (made, event, outcome) => {
    const { attempt } = made;
    // The endpoints that work are not to push out those that don't.
    if (outcome.delivery.status === 'succeeded') return reportAttempt(log, made, event, outcome);
    const way = `${made.endpointId} ${attempt.outcome} ${attempt.statusCode} ${outcome.delivery.status}`;
    throttle.tell(way, (leftOut) => reportAttempt(log, made, event, outcome, leftOut));
  };
}

function reportAttempt(
  log: Log,
  made: MadeAttempt,
  event: WebhookEvent,
  { delivery }: Outcome,
  leftOut: object = {},
): void {
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
    ...leftOut,
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
