/** What is measured of webhooks: attempts, what became of deliveries, and how far behind they are. */
import type { DisabledEndpoint } from '../store/webhook-outcomes.ts';
import type { AttemptOutcome } from '../webhooks/attempt.ts';
import { ATTEMPT_OUTCOMES } from '../webhooks/attempt.ts';
import type { Series } from './histogram.ts';
import type { Registry } from './registry.ts';

/** In seconds: an attempt takes at most 15. */
const ATTEMPT_SECONDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15];

/** Told of what becomes of webhooks. */
export interface WebhookObserver {
  readonly onAttempt: (outcome: AttemptOutcome, ms: number) => void;
  /** A delivery has come to its end. */
  readonly onDone: (outcome: 'succeeded' | 'failed') => void;
  readonly onDisabled: (reason: DisabledEndpoint['reason']) => void;
}

/** @param oldestMs for how long the oldest of all that is due has been; undefined where it isn't known */
export function webhookMetrics(registry: Registry, oldestMs: () => number | undefined): WebhookObserver {
  const attempts = countBy(
    registry,
    ...['inlet_webhook_attempts_total', 'Attempts to deliver a webhook, by how they ended.'],
    'outcome',
    ATTEMPT_OUTCOMES,
  );
  const histogram = registry.histogram(
    'inlet_webhook_attempt_duration_seconds',
    'Time that an attempt to deliver a webhook took.',
    ATTEMPT_SECONDS,
  );
  const seconds = new Map<AttemptOutcome, Series>(
    ATTEMPT_OUTCOMES.map((outcome) => [outcome, histogram.series({ outcome })]),
  );
  const done = countBy(
    registry,
    'inlet_webhook_deliveries_total',
    'Webhooks that were delivered, and webhooks that were given up.',
    'outcome',
    ['succeeded', 'failed'],
  );
  const disabled = countBy(
    registry,
    'inlet_webhook_endpoints_disabled_total',
    'Webhook endpoints that were disabled because their receivers failed for days or want nothing more.',
    'reason',
    ['gone', 'failing'],
  );
  registry.gauge(
    'inlet_webhook_oldest_due_age_seconds',
    'For how long the webhook has been due that has been for longest. The same from every process: take the maximum.',
    () => {
      const ms = oldestMs();
      return ms === undefined ? undefined : ms / 1_000;
    },
  );
  return {
    onAttempt(outcome, ms) {
      attempts(outcome);
      seconds.get(outcome)?.record(ms / 1_000);
    },
    onDone: done,
    onDisabled: disabled,
  };
}

/** Makes a counter with a series for each value of a label. @returns counts one */
function countBy<Value extends string>(
  registry: Registry,
  name: string,
  help: string,
  label: string,
  values: readonly Value[],
): (value: Value) => void {
  const counts = new Map<Value, number>(values.map((value) => [value, 0]));
  registry.counter(name, help, () => [...counts].map(([value, count]) => [count, { [label]: value }]));
  return (value) => counts.set(value, (counts.get(value) ?? 0) + 1);
}
