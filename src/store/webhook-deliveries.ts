/** The deliveries of webhooks as they are listed, with their attempts. */
import type { DeliveryAttempt, DeliveryStatus } from '../domain/webhook.ts';
import { TEST_EVENT } from '../domain/webhook.ts';
import type { Queryable } from './database.ts';
import type { ListPage, WalkedRow } from './object-lists.ts';
import { FITS, listPage } from './object-lists.ts';
import { MICROS_OF } from './sql-time.ts';
import type { SeenNamespaces } from './webhook-endpoints.ts';
import { SEEN_BY } from './webhook-endpoints.ts';

/** An event on its way to an endpoint, or delivered. Times are microseconds since 1970. */
export interface Delivery {
  readonly endpointId: string;
  readonly webhookId: string;
  readonly type: string;
  /** Empty for a test, as are the object and its request. */
  readonly namespace: string;
  readonly objectId: string;
  readonly requestId: string;
  readonly acceptedAt: number;
  readonly status: DeliveryStatus;
  /** The oldest first. */
  readonly attempts: readonly DeliveryAttempt[];
  /** Undefined where it is done. */
  readonly nextAttemptAt: number | undefined;
  readonly createdAt: number;
  readonly completedAt: number | undefined;
}

/** Where a delivery stands in the list of them all. */
export interface DeliveryPosition {
  readonly webhookId: string;
  readonly endpointId: string;
}

/** Which deliveries are asked for. */
export interface DeliveryFilter {
  readonly endpointId: string | undefined;
  readonly webhookId: string | undefined;
  readonly status: DeliveryStatus | undefined;
  /** The one behind which the page begins. */
  readonly after: DeliveryPosition | undefined;
  readonly limit: number;
}

type Row = WalkedRow &
  Record<'endpoint_id' | 'webhook_id' | 'type' | 'namespace' | 'object_id' | 'request_id', string> & {
    readonly status: DeliveryStatus;
    readonly attempts: readonly DeliveryAttempt[];
    readonly accepted_at: string;
    readonly next_attempt_at: string;
    readonly created_at: string;
    readonly completed_at: string | null;
  };

/**
 * The newest of each endpoint are read from its index, and of these the newest of all; attempts are read of those
 * alone. Deliveries of namespaces that an endpoint was once for are seen only by who may see these.
 */
const list = (conditions: string): string => `
  WITH found AS (
    SELECT delivery.*
    FROM inlet.webhook_endpoints AS endpoint
    CROSS JOIN LATERAL (
      SELECT endpoint_id, webhook_id
      FROM inlet.webhook_deliveries
      WHERE endpoint_id = endpoint.endpoint_id
        AND ($1::text[] IS NULL OR type = '${TEST_EVENT}' OR namespace = ANY ($1::text[]))
        ${conditions}
      ORDER BY webhook_id DESC
      LIMIT $2 + 1
    ) AS delivery
    WHERE ${SEEN_BY('$1')} AND ($3::text IS NULL OR endpoint.endpoint_id = $3)
    ORDER BY webhook_id DESC, endpoint_id DESC
    LIMIT $2 + 1
  )
  SELECT endpoint_id, webhook_id, type, namespace, object_id, request_id, status,
         ${MICROS_OF('accepted_at')} AS accepted_at, ${MICROS_OF('next_attempt_at')} AS next_attempt_at,
         ${MICROS_OF('created_at')} AS created_at, ${MICROS_OF('completed_at')} AS completed_at,
         ${FITS('$2')} AS fits, CASE WHEN ${FITS('$2')} THEN attempts END AS attempts
  FROM (
    SELECT delivery.*, row_number() OVER newest AS n, sum(octet_length(attempts::text)) OVER newest AS bytes
    FROM found JOIN inlet.webhook_deliveries AS delivery USING (endpoint_id, webhook_id)
    WINDOW newest AS (ORDER BY webhook_id DESC, endpoint_id DESC)
  ) AS page
  ORDER BY n`;

/**
 * Lists deliveries to the endpoints that somebody may see, the newest event first.
 * @returns a page, which ends before its attempts come to more than 5 MiB
 */
export async function listDeliveries(
  on: Queryable,
  seen: SeenNamespaces,
  { endpointId, webhookId, status, after, limit }: DeliveryFilter,
): Promise<ListPage<Delivery>> {
  const values: unknown[] = [seen ?? null, limit, endpointId ?? null];
  const parameter = (value: string): string => `$${values.push(value)}`;
  const conditions = [
    // The index ends the walk; of those with the same id, some were on the page before.
    ...(after
      ? [
          `webhook_id <= ${parameter(after.webhookId)}`,
          `(webhook_id, endpoint_id) < ($${values.length}, ${parameter(after.endpointId)})`,
        ]
      : []),
    ...(webhookId === undefined ? [] : [`webhook_id = ${parameter(webhookId)}`]),
    ...(status === undefined ? [] : [`status = ${parameter(status)}`]),
  ];
  const rows = await on.query<Row>({
    // Not prepared: for a status, Postgres has to see which it is to take the index of those.
    text: list(conditions.map((condition) => `AND ${condition}`).join(' ')),
    values,
  });
  return listPage(rows, fromRow);
}

function fromRow(row: Row): Delivery {
  return {
    endpointId: row.endpoint_id,
    webhookId: row.webhook_id,
    type: row.type,
    namespace: row.namespace,
    objectId: row.object_id,
    requestId: row.request_id,
    acceptedAt: Number(row.accepted_at),
    status: row.status,
    attempts: row.attempts,
    nextAttemptAt: row.status === 'pending' ? Number(row.next_attempt_at) : undefined,
    createdAt: Number(row.created_at),
    completedAt: row.completed_at === null ? undefined : Number(row.completed_at),
  };
}
