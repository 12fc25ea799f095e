/**
 * What is done by hand to the deliveries of an endpoint: a test is added, old ones are sent again, and those that
 * nobody wants any more are dropped. All of it is rows alone: workers find what is due.
 */
import { TEST_EVENT } from '../domain/webhook.ts';
import type { Queryable } from './database.ts';

/** Rows that one statement writes: few enough that it is over long before its time is up. */
const STEP_ROWS = 5_000;

/** How long one step may take, in milliseconds: to find its rows it may have to pass over many others. */
const STEP_TIMEOUT_MS = 60_000;

/** Adds a test event, which is due at once. */
export async function insertTestEvent(
  on: Queryable,
  endpointId: string,
  { webhookId, requestId }: { readonly webhookId: string; readonly requestId: string },
): Promise<void> {
  await on.write({
    text: `INSERT INTO inlet.webhook_deliveries
             (endpoint_id, webhook_id, type, namespace, object_id, request_id, accepted_at)
           VALUES ($1, $2, '${TEST_EVENT}', '', '', $3, now())`,
    values: [endpointId, webhookId, requestId],
  });
}

/** SQL that tells whether an endpoint asks for an event, as it is now. */
export const WANTED = `(endpoint.namespaces IS NULL OR namespace = ANY (endpoint.namespaces)) AND type = ANY (endpoint.events)`;

const REPLAY = (status: string): string => `
  WITH step AS (
    SELECT delivery.webhook_id
    FROM inlet.webhook_deliveries AS delivery JOIN inlet.webhook_endpoints AS endpoint USING (endpoint_id)
    WHERE endpoint_id = $1 AND delivery.webhook_id > $2 AND delivery.created_at >= $3 AND ${status} AND ${WANTED}
    ORDER BY delivery.webhook_id LIMIT ${STEP_ROWS}
  ), again AS (
    UPDATE inlet.webhook_deliveries AS delivery
    SET status = 'pending', tries = 0, next_attempt_at = now(), completed_at = NULL
    WHERE endpoint_id = $1 AND webhook_id = ANY (ARRAY(SELECT webhook_id FROM step)) AND ${status}
    RETURNING 1
  )
  SELECT (SELECT max(webhook_id) FROM step) AS last, (SELECT count(*) FROM step)::integer AS found,
         (SELECT count(*) FROM again)::integer AS count`;

/**
 * What has been tried and waits for its next attempt. It goes on with its schedule. Each delivery is met once, by its id:
 * one that fails again while the steps go on waits for its next attempt as well, and would be brought forward until its
 * schedule is used up.
 */
const BRING_FORWARD = `
  WITH step AS (
    SELECT delivery.webhook_id
    FROM inlet.webhook_deliveries AS delivery JOIN inlet.webhook_endpoints AS endpoint USING (endpoint_id)
    WHERE endpoint_id = $1 AND delivery.webhook_id > $2 AND delivery.created_at >= $3
      AND status = 'pending' AND next_attempt_at > now() AND tries > 0 AND ${WANTED}
    ORDER BY delivery.webhook_id LIMIT ${STEP_ROWS}
  ), again AS (
    -- Not joined: the index of what is pending would be gone through once for each row of the step.
    UPDATE inlet.webhook_deliveries SET next_attempt_at = now()
    WHERE endpoint_id = $1 AND webhook_id = ANY (ARRAY(SELECT webhook_id FROM step))
      AND status = 'pending' AND next_attempt_at > now()
    RETURNING 1
  )
  SELECT (SELECT max(webhook_id) FROM step) AS last, (SELECT count(*) FROM step)::integer AS found,
         (SELECT count(*) FROM again)::integer AS count`;

/** Literal, so that the index of those that have failed is taken. */
const REPLAYED = { failed: `delivery.status = 'failed'`, all: `delivery.status <> 'pending'` };

/**
 * Has deliveries of events that the endpoint asks for sent again, in steps. What waits for its next attempt is sent now.
 * @param since only events that came then or later
 * @returns how many
 * @throws as `Database.query`; what was done until then stays done
 */
export async function replayDeliveries(
  on: Queryable,
  endpointId: string,
  { since, status }: { readonly since: Date; readonly status: 'failed' | 'all' },
): Promise<number> {
  const broughtForward = await inSteps(on, BRING_FORWARD, endpointId, since);
  return broughtForward + (await inSteps(on, REPLAY(REPLAYED[status]), endpointId, since));
}

/** Runs a statement from one id to the next until it finds no more. @returns how many rows it has changed */
async function inSteps(on: Queryable, text: string, endpointId: string, since: Date): Promise<number> {
  let total = 0;
  for (let after = ''; ; ) {
    const [step] = await on.query<{ last: string | null; found: number; count: number }>({
      text,
      values: [endpointId, after, since],
      timeoutMs: STEP_TIMEOUT_MS,
    });
    if (!step?.last) return total;
    total += step.count;
    if (step.found < STEP_ROWS) return total;
    after = step.last;
  }
}

/** Of an endpoint that is no more, everything; of one that is, what it doesn't ask for. */
const DROP = `
  DELETE FROM inlet.webhook_deliveries WHERE endpoint_id = $1 AND webhook_id = ANY (ARRAY(
    SELECT webhook_id
    FROM inlet.webhook_deliveries LEFT JOIN inlet.webhook_endpoints AS endpoint USING (endpoint_id)
    WHERE endpoint_id = $1 AND status = 'pending'
      AND (endpoint.url IS NULL OR (type <> '${TEST_EVENT}' AND NOT (${WANTED})))
    LIMIT ${STEP_ROWS}
  )) AND status = 'pending'`;

/**
 * Deletes, in steps, what is pending for an endpoint that is gone, or that doesn't ask for it any more.
 * @throws as `Database.write`; what was deleted until then stays deleted
 */
export async function dropUnwanted(on: Queryable, endpointId: string): Promise<void> {
  let deleted: number;
  // To the last of them: a step is smaller also where a worker was faster.
  do deleted = await on.write({ text: DROP, values: [endpointId], timeoutMs: STEP_TIMEOUT_MS });
  while (deleted > 0);
}
