/**
 * The outbox: what is to be delivered to whom, written in the transaction that stores the objects. So an event is there
 * if and only if what it tells of has been committed, whatever dies afterwards.
 */
import type { EventType } from '../domain/webhook.ts';
import type { Database, Queryable } from './database.ts';
import { outboxParts } from './outbox-parts.ts';
import { TIME_FROM_MICROS } from './sql-time.ts';

/** An endpoint that wants events. */
export interface Subscription {
  readonly endpointId: string;
  /** Whose; undefined: those of all namespaces. */
  readonly namespaces: readonly string[] | undefined;
  readonly events: readonly EventType[];
}

export interface OutboxEvent {
  readonly type: EventType;
  readonly namespace: string;
  readonly objectId: string;
  readonly requestId: string;
  /** When its request was accepted, in microseconds since 1970. */
  readonly acceptedAt: number;
  readonly stamp: number;
  /** What tells it from the other events of its request: the object's place in it. Letters, digits and `_`. */
  readonly key: string;
  /** JSON text of what the evaluator has answered. */
  readonly output?: string;
  /** Why it has failed. */
  readonly error?: string;
}

/**
 * Reads the endpoints that want events; without parameters, so that it can be sent along with a begin. The lock holds up
 * nobody: it marks a transaction that goes by what it has read here, for {@link openStores}.
 */
const READ_SUBSCRIPTIONS = `
  LOCK TABLE inlet.webhook_endpoints IN ROW SHARE MODE;
  SELECT endpoint_id, namespaces, events FROM inlet.webhook_endpoints WHERE disabled_at IS NULL`;

interface SubscriptionRow {
  readonly endpoint_id: string;
  readonly namespaces: string[] | null;
  readonly events: EventType[];
}

function subscription({ endpoint_id, namespaces, events }: SubscriptionRow): Subscription {
  return { endpointId: endpoint_id, namespaces: namespaces ?? undefined, events };
}

/**
 * A transaction that knows who may want to hear of it. What each endpoint asks for is read again when its events are written;
 * one that was made, or asks for more, after the begin may get none of them, and whoever has changed it waits for the end.
 * @param statementMs how long each statement may take, in milliseconds; the database's own limit unless told
 */
export function storing<T>(
  database: Database,
  use: (transaction: Queryable, subscriptions: readonly Subscription[]) => Promise<T>,
  statementMs?: number,
): Promise<T> {
  const limit = statementMs === undefined ? '' : `SET LOCAL statement_timeout = ${statementMs};`;
  return database.transactionWith(
    limit + READ_SUBSCRIPTIONS,
    (transaction, rows: readonly SubscriptionRow[]) => use(transaction, rows.map(subscription)),
  );
}

/**
 * The stores that may not know of what was committed just before, by ids that no others ever get.
 * @param among only those of them that are open still
 */
export async function openStores(on: Queryable, among?: readonly string[]): Promise<readonly string[]> {
  const rows = await on.query<{ id: string }>({
    text: `SELECT DISTINCT virtualtransaction AS id FROM pg_locks
           WHERE locktype = 'relation' AND mode = 'RowShareLock' AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
             AND relation = 'inlet.webhook_endpoints'::regclass
             AND ($1::text[] IS NULL OR virtualtransaction = ANY ($1))`,
    values: [among ?? null],
  });
  return rows.map(({ id }) => id);
}

/**
 * What an endpoint asks for is what it asks for now, which may be less than at the begin.
 *
 * Metadata is what the objects hold at this moment, in this transaction, as in the results of requests. Rows come in
 * the order of their key, so that two workers with the same batch never wait for each other in a circle.
 */
const RECORD = `
  WITH field AS (
    SELECT settings.namespace, array_agg(f.key) AS names
    FROM inlet.settings, jsonb_each(schema) AS f
    WHERE settings.namespace = ANY($3) AND f.value ->> 'content_type' = 'metadata'
    GROUP BY settings.namespace
  )
  INSERT INTO inlet.webhook_deliveries
    (endpoint_id, webhook_id, type, namespace, object_id, request_id, accepted_at, stamp, metadata, output, error)
  SELECT s.endpoint_id, e."webhookId" COLLATE "C", e.type, e.namespace, e."objectId", e."requestId",
         ${TIME_FROM_MICROS('e."acceptedAt"')}, e.stamp, m.metadata, e.output::jsonb, e.error
  FROM jsonb_to_recordset($1::jsonb) AS known ("endpointId" text)
  JOIN inlet.webhook_endpoints AS s ON s.endpoint_id = known."endpointId" COLLATE "C" AND s.disabled_at IS NULL
  JOIN jsonb_to_recordset($2::jsonb)
         AS e ("webhookId" text, type text, namespace text, "objectId" text, "requestId" text,
               "acceptedAt" bigint, stamp bigint, output text, error text)
    ON e.type = ANY(s.events) AND (s.namespaces IS NULL OR e.namespace = ANY(s.namespaces))
  LEFT JOIN LATERAL (
    SELECT jsonb_object_agg(name, object.data -> name) AS metadata
    FROM field
    JOIN inlet.objects AS object ON object.namespace = e.namespace COLLATE "C" AND object.id = e."objectId" COLLATE "C"
    CROSS JOIN unnest(field.names) AS name
    WHERE field.namespace = e.namespace COLLATE "C" AND e.type = 'workflow.succeeded' AND object.data ? name
  ) AS m ON true
  ORDER BY 1, 2
  ON CONFLICT (endpoint_id, webhook_id) DO NOTHING`;

/** How much of objects as they are stored may be unpacked at once, in bytes; packed, data may be 250 times as large. */
const UNPACKED_AT_ONCE = 4 * 1024 * 1024;

/** How large objects are whose namespace calls any field metadata, from the first on as far as they may be unpacked. */
const METADATA_SIZES = `
  WITH described AS MATERIALIZED (
    SELECT namespace FROM inlet.settings
    WHERE namespace = ANY ($3)
      AND EXISTS (SELECT FROM jsonb_each(schema) AS f WHERE f.value ->> 'content_type' = 'metadata')
  )
  SELECT position, found,
         CASE WHEN pg_column_compression(data) IS NULL THEN stored ELSE octet_length(data::text) END AS bytes
  FROM (
    SELECT *, sum(stored) OVER (ORDER BY position) - stored AS before, (count(*) OVER ())::integer AS found
    FROM (
      SELECT e.position::integer - 1 AS position, object.data, pg_column_size(object.data) AS stored
      FROM described
      JOIN unnest($1::text[], $2::text[]) WITH ORDINALITY AS e (namespace, id, position)
        ON e.namespace COLLATE "C" = described.namespace
      JOIN inlet.objects AS object ON object.namespace = described.namespace AND object.id = e.id COLLATE "C"
      WHERE object.data IS NOT NULL
    ) AS each
  ) AS summed
  WHERE before < $4
  ORDER BY position`;

/**
 * Writes events for the endpoints that want them. Events that are there already stay as they are: their batch came a second
 * time.
 * @param onProgress told after each statement: to many endpoints, many events take several
 * @returns the ids of the endpoints that may have got something
 */
export async function recordEvents(
  on: Queryable,
  subscriptions: readonly Subscription[],
  events: readonly OutboxEvent[],
  onProgress: () => void = () => undefined,
): Promise<readonly string[]> {
  const wanting = subscriptions.filter((wish) => events.some((event) => wants(wish, event)));
  if (wanting.length === 0) return [];
  const wanted = events.filter((event) => wanting.some((wish) => wants(wish, event)));
  const inOrder = (await deliveriesOf(on, wanted)).sort((a, b) => (a.webhookId < b.webhookId ? -1 : 1));
  const endpoints = wanting.toSorted((a, b) => (a.endpointId < b.endpointId ? -1 : 1));
  for (const part of outboxParts(endpoints, inOrder, wants)) {
    const values = [JSON.stringify(part.endpoints), JSON.stringify(part.events), namespacesOf(part.events)];
    await on.write({ name: 'record-events', text: RECORD, values });
    onProgress();
  }
  return wanting.map(({ endpointId }) => endpointId);
}

interface Delivery extends OutboxEvent {
  readonly webhookId: string;
  /** How much its row takes up at most: all that is known of its metadata is that it is a part of its object. */
  readonly bytes: number;
}

/** What is to be written of each event, for whichever endpoint. */
async function deliveriesOf(on: Queryable, events: readonly OutboxEvent[]): Promise<Delivery[]> {
  const sizes = await metadataSizes(on, events.filter(mayHaveMetadata));
  return events.map((event) => ({
    ...event,
    webhookId: `msg_${event.requestId.slice('req_'.length)}_${event.key}`,
    bytes: (event.output ?? event.error ?? '').length + (sizes.get(event) ?? 0),
  }));
}

function mayHaveMetadata({ type }: OutboxEvent): boolean {
  return type === 'workflow.succeeded';
}

async function metadataSizes(
  on: Queryable,
  events: readonly OutboxEvent[],
): Promise<ReadonlyMap<OutboxEvent, number>> {
  const sizes = new Map<OutboxEvent, number>();
  for (let rest = events; rest.length > 0; ) {
    const ids = rest.map(({ objectId }) => objectId);
    const rows = await on.query<{ position: number; found: number; bytes: number }>({
      name: 'metadata-sizes',
      text: METADATA_SIZES,
      values: [rest.map(({ namespace }) => namespace), ids, namespacesOf(rest), UNPACKED_AT_ONCE],
    });
    for (const { position, bytes } of rows) {
      const event = rest[position];
      if (event) sizes.set(event, bytes);
    }
    const last = rows.at(-1);
    if (!last || rows.length === last.found) break;
    rest = rest.slice(last.position + 1);
  }
  return sizes;
}

function namespacesOf(events: readonly OutboxEvent[]): string[] {
  return [...new Set(events.map(({ namespace }) => namespace))];
}

function wants({ namespaces, events }: Subscription, { type, namespace }: OutboxEvent): boolean {
  return events.includes(type) && (namespaces === undefined || namespaces.includes(namespace));
}
