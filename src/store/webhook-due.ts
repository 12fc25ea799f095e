/**
 * What is to be delivered now, and where to. Both are read at one moment: an endpoint may change hands, and what it asked for
 * before is nothing for who has it now.
 */
import { TEST_EVENT } from '../domain/webhook.ts';
import type { WebhookEvent } from '../domain/webhook-body.ts';
import type { Queryable } from './database.ts';
import { MICROS_OF, STAMP } from './sql-time.ts';
import { walk } from './walk.ts';
import { WANTED } from './webhook-outgoing.ts';

/** An endpoint as it is delivered to. */
export interface DeliveryTarget {
  readonly id: string;
  readonly url: string;
  /** Most deliveries in a second; undefined: no limit. */
  readonly rate: number | undefined;
  /** Whether the last attempt failed. */
  readonly isFailing: boolean;
  /** All that sign, the current one first. */
  readonly secrets: readonly string[];
}

/** An event that is to be sent to an endpoint. */
export interface DueDelivery {
  readonly webhookId: string;
  /** How many attempts have failed. */
  readonly tries: number;
  /** Undefined where it is larger than was asked for; {@link readDelivery} has it. */
  readonly event: WebhookEvent | undefined;
}

/** What an endpoint is to get now. */
export interface DuePage {
  readonly target: DeliveryTarget;
  readonly deliveries: readonly DueDelivery[];
  /** Whether some were found that the endpoint doesn't ask for any more. They are not to be sent, and are not among them. */
  readonly hasUnwanted: boolean;
}

/** Endpoints that may be delivered to at this moment. */
const IS_OPEN = 'endpoint.disabled_at IS NULL AND coalesce(endpoint.paused_until <= now(), true)';

/** Whether an endpoint asks for an event. A test is asked for by itself. */
const IS_ASKED_FOR = `(type = '${TEST_EVENT}' OR ${WANTED})`;

interface EventRow {
  readonly type: string;
  readonly namespace: string;
  readonly object_id: string;
  readonly request_id: string;
  readonly accepted: string;
  readonly stamp: string;
  readonly metadata: string | null;
  readonly output: string | null;
  readonly error: string | null;
}

const EVENT_COLUMNS = `type, namespace, object_id, request_id, ${MICROS_OF('accepted_at')} AS accepted, ${STAMP} AS stamp,
  metadata::text AS metadata, output::text AS output, error`;

interface TargetRow {
  readonly url: string;
  readonly rate: number | null;
  readonly failing: boolean;
  readonly secrets: string[];
}

interface DueRow extends EventRow {
  readonly webhook_id: string;
  readonly tries: number;
  readonly fits: boolean;
  readonly wanted: boolean;
}

/** What goes beyond the limit isn't sent over. */
const DUE = `
  ${walk({
    before: `
    due AS MATERIALIZED (
      SELECT array_agg(webhook_id ORDER BY next_attempt_at, webhook_id) AS ids
      FROM (
        SELECT webhook_id, next_attempt_at
        FROM inlet.webhook_deliveries
        WHERE endpoint_id = $1 AND status = 'pending' AND next_attempt_at <= now() AND webhook_id <> ALL ($2)
        ORDER BY next_attempt_at LIMIT $3
      ) AS first
    ),`,
    count: '(SELECT coalesce(cardinality(ids), 0) FROM due)',
    columns: {
      ...{ webhook_id: 'text COLLATE "C"', tries: 'integer', type: 'text COLLATE "C"' },
      ...{ namespace: 'text COLLATE "C"', object_id: 'text COLLATE "C"', request_id: 'text COLLATE "C"' },
      ...{ accepted: 'bigint', stamp: 'bigint', metadata: 'text', output: 'text', error: 'text' },
    },
    row: (position) => `
      SELECT webhook_id, tries, ${EVENT_COLUMNS}
      FROM inlet.webhook_deliveries
      WHERE endpoint_id = $1 AND webhook_id = (SELECT ids[${position}] FROM due)`,
    measured: ['metadata', 'output'],
    limit: '$4',
  })}
  SELECT url, rate, failing_since IS NOT NULL AS failing, ARRAY(
           SELECT secret FROM inlet.webhook_secrets
           WHERE endpoint_id = endpoint.endpoint_id AND coalesce(expires_at > now(), true)
           ORDER BY expires_at DESC NULLS FIRST
         ) AS secrets,
         webhook_id, tries, bytes <= $4 AS fits, ${IS_ASKED_FOR} AS wanted, type, namespace, object_id, request_id,
         accepted, stamp, error,
         CASE WHEN bytes <= $4 THEN metadata END AS metadata, CASE WHEN bytes <= $4 THEN output END AS output
  FROM inlet.webhook_endpoints AS endpoint LEFT JOIN page ON position = 1 OR position > 1 AND bytes <= $4
  WHERE endpoint_id = $1 AND ${IS_OPEN}
  ORDER BY position`;

/**
 * Reads what an endpoint is to get now, what has been due for longest first.
 * @param inHand ids of those that are being sent, which are left out
 * @param limit most deliveries
 * @param maxBytes most bytes of metadata and output together. Where the first is larger, it comes alone and without
 *   its event
 * @returns undefined where nothing is to be sent to the endpoint now: it is gone, disabled or paused
 */
export async function readDue(
  on: Queryable,
  endpointId: string,
  inHand: readonly string[],
  limit: number,
  maxBytes: number,
): Promise<DuePage | undefined> {
  const rows = await on.query<TargetRow & (DueRow | { readonly webhook_id: null })>({
    name: 'read-due-webhooks',
    text: DUE,
    values: [endpointId, inHand, limit, maxBytes],
  });
  const [first] = rows;
  if (!first) return undefined;
  const { url, rate, failing, secrets } = first;
  const found = rows.filter((row) => row.webhook_id !== null);
  const wanted = found.filter((row) => row.wanted);
  return {
    target: { id: endpointId, url, rate: rate ?? undefined, isFailing: failing, secrets },
    deliveries: wanted.map((row) => ({
      ...{ webhookId: row.webhook_id, tries: row.tries },
      event: row.fits ? eventOf(row) : undefined,
    })),
    hasUnwanted: wanted.length < found.length,
  };
}

/**
 * Reads the event of one delivery, however large it is.
 * @param target where it is to be sent to
 * @returns undefined where it is gone, or the endpoint is another one by now, or asks for it no more
 */
export async function readDelivery(
  on: Queryable,
  { id, url }: Pick<DeliveryTarget, 'id' | 'url'>,
  webhookId: string,
): Promise<WebhookEvent | undefined> {
  const [row] = await on.query<EventRow>({
    text: `SELECT ${EVENT_COLUMNS}
           FROM inlet.webhook_deliveries JOIN inlet.webhook_endpoints AS endpoint USING (endpoint_id)
           WHERE endpoint_id = $1 AND webhook_id = $2 AND url = $3 AND ${IS_OPEN} AND ${IS_ASKED_FOR}`,
    values: [id, webhookId, url],
  });
  return row && eventOf(row);
}

function eventOf(row: EventRow): WebhookEvent {
  return {
    ...{ type: row.type, namespace: row.namespace, objectId: row.object_id, requestId: row.request_id },
    acceptedAt: Number(row.accepted),
    stamp: row.stamp,
    metadata: row.metadata ?? undefined,
    output: row.output ?? undefined,
    error: row.error ?? undefined,
  };
}

/** What there is to deliver altogether. */
export interface DueEndpoints {
  readonly ids: readonly string[];
  /** For how long the oldest of all that is due has been, in milliseconds; 0 where nothing is. */
  readonly oldestMs: number;
}

/** Finds the endpoints that have something due: a look into an index for each endpoint there is. */
export async function findDueEndpoints(on: Queryable): Promise<DueEndpoints> {
  const rows = await on.query<{ endpoint_id: string; waited: number }>({
    name: 'find-due-endpoints',
    text: `SELECT endpoint_id, (extract(epoch FROM now() - due_at) * 1000)::float8 AS waited
           FROM inlet.webhook_endpoints AS endpoint CROSS JOIN LATERAL (
             SELECT next_attempt_at AS due_at FROM inlet.webhook_deliveries AS delivery
             WHERE delivery.endpoint_id = endpoint.endpoint_id AND status = 'pending' AND next_attempt_at <= now()
             ORDER BY next_attempt_at LIMIT 1
           ) AS oldest
           WHERE ${IS_OPEN}`,
  });
  return {
    ids: rows.map(({ endpoint_id }) => endpoint_id),
    oldestMs: Math.max(0, ...rows.map(({ waited }) => waited)),
  };
}
