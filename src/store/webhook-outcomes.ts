/** What became of attempts to deliver, and what follows for their endpoints. */
import type { DeliveryAttempt, DeliveryStatus, DisabledReason } from '../domain/webhook.ts';
import type { Queryable } from './database.ts';

/** What became of one attempt. */
export interface DeliveryOutcome {
  readonly endpointId: string;
  readonly webhookId: string;
  /** How many attempts had failed before, as it was read. */
  readonly tries: number;
  readonly attempt: DeliveryAttempt;
  readonly status: DeliveryStatus;
  /** Where it stays pending: when it is due again, in milliseconds from now on. */
  readonly retryMs: number;
}

/** What attempts tell of an endpoint. */
export interface EndpointChange {
  readonly endpointId: string;
  /** Whether one has succeeded: it is not failing any more. */
  readonly recovered: boolean;
  /** Whether the last one has failed. */
  readonly failing: boolean;
  /** It wants nothing more. */
  readonly gone: boolean;
  /** For how long it is to be left alone, in milliseconds; 0 where it has not asked for that. */
  readonly pauseMs: number;
}

/** Why an endpoint is disabled without anybody having asked for it. */
type AutomaticReason = Exclude<DisabledReason, 'requested'>;

/** An endpoint that is disabled from now on. */
export interface DisabledEndpoint {
  readonly endpointId: string;
  readonly reason: AutomaticReason;
}

/** For how long an endpoint may fail before it is disabled. */
const MAX_FAILING = "interval '5 days'";

/** Attempts that are kept of a delivery: those of several replays. */
const MAX_ATTEMPTS = 50;

/**
 * One statement for all, which changes nothing where it runs a second time because its answer was lost. A failure counts
 * only where nothing else has happened since the delivery was read: a task can run twice, where its worker was out of
 * touch with the queue, or somebody replays the delivery meanwhile. A success counts in any case.
 */
const RECORD = `
  UPDATE inlet.webhook_deliveries AS delivery SET
    attempts = CASE WHEN jsonb_array_length(attempts) < ${MAX_ATTEMPTS} THEN attempts ELSE attempts - 0 END
      || outcome.attempt,
    tries = delivery.tries + 1,
    status = outcome.status,
    next_attempt_at = CASE WHEN outcome.status = 'pending'
      THEN now() + outcome."retryMs" * interval '1 millisecond' ELSE next_attempt_at END,
    completed_at = CASE WHEN outcome.status = 'pending' THEN NULL ELSE now() END
  FROM jsonb_to_recordset($1::jsonb)
    AS outcome ("endpointId" text, "webhookId" text, tries integer, attempt jsonb, status text, "retryMs" float8)
  WHERE delivery.endpoint_id = outcome."endpointId" COLLATE "C"
    AND delivery.webhook_id = outcome."webhookId" COLLATE "C"
    AND CASE outcome.status WHEN 'succeeded' THEN delivery.status <> 'succeeded'
      ELSE delivery.status = 'pending' AND delivery.tries = outcome.tries END`;

/** Keeps what became of attempts; at most one of each delivery may be among them. */
export async function recordOutcomes(on: Queryable, outcomes: readonly DeliveryOutcome[]): Promise<void> {
  await on.query({ name: 'record-webhook-outcomes', text: RECORD, values: [JSON.stringify(outcomes)] });
}

/**
 * For how long an endpoint has failed is measured on the clock of the database alone: a worker's may be days off.
 *
 * Nothing is changed of one that was disabled meanwhile: somebody who enables it again begins anew.
 */
const CHANGE = `
  UPDATE inlet.webhook_endpoints AS endpoint SET
    failing_since = next.failing_since,
    paused_until = greatest(endpoint.paused_until, next.paused_until),
    disabled_at = CASE WHEN next.disabled_reason IS NOT NULL THEN now() END,
    disabled_reason = next.disabled_reason,
    updated_at = CASE WHEN next.disabled_reason IS NULL THEN endpoint.updated_at ELSE now() END
  FROM (
    SELECT *, CASE
      WHEN gone THEN 'gone' WHEN failing_since < now() - ${MAX_FAILING} THEN 'failing'
    END AS disabled_reason
    FROM (
      SELECT e.endpoint_id, gone,
             coalesce(CASE WHEN recovered THEN NULL ELSE e.failing_since END, CASE WHEN failing THEN now() END)
               AS failing_since,
             CASE WHEN "pauseMs" > 0 THEN now() + "pauseMs" * interval '1 millisecond' END AS paused_until
      FROM jsonb_to_recordset($1::jsonb) AS change
             ("endpointId" text, recovered boolean, failing boolean, gone boolean, "pauseMs" float8)
      JOIN inlet.webhook_endpoints AS e ON e.endpoint_id = change."endpointId" COLLATE "C"
    ) AS found
  ) AS next
  WHERE endpoint.endpoint_id = next.endpoint_id AND endpoint.disabled_at IS NULL
    AND (endpoint.failing_since IS DISTINCT FROM next.failing_since
      OR next.paused_until IS NOT NULL OR next.disabled_reason IS NOT NULL)
  RETURNING endpoint.endpoint_id, endpoint.disabled_reason`;

/**
 * Changes endpoints by what attempts have told of them.
 * @returns those that are disabled by that: they want nothing more, or have failed for days
 */
export async function changeEndpoints(
  on: Queryable,
  changes: readonly EndpointChange[],
): Promise<DisabledEndpoint[]> {
  const rows = await on.query<{ endpoint_id: string; disabled_reason: AutomaticReason | null }>({
    text: CHANGE,
    values: [JSON.stringify(changes)],
  });
  return rows.flatMap(({ endpoint_id: endpointId, disabled_reason: reason }) =>
    reason === null ? [] : [{ endpointId, reason }],
  );
}
