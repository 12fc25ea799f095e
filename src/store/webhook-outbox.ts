/**
 * The outbox: what is to be delivered to whom, written in the transaction that stores the objects. So an event is there
 * if and only if what it tells of has been committed, whatever dies afterwards.
 */
import type { EventType } from '../domain/webhook.ts';
import type { Database, Queryable } from './database.ts';
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
 */
export function storing<T>(
  database: Database,
  use: (transaction: Queryable, subscriptions: readonly Subscription[]) => Promise<T>,
): Promise<T> {
  return database.transactionWith(READ_SUBSCRIPTIONS, (transaction, rows: readonly SubscriptionRow[]) =>
    use(transaction, rows.map(subscription)),
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
    (endpoint_id, webhook_id, type, namespace, object_id, request_id, accepted_at, metadata, output, error)
  SELECT s.endpoint_id, 'msg_' || substr(e."requestId", 5) || '_' || e.key COLLATE "C",
         e.type, e.namespace, e."objectId", e."requestId", ${TIME_FROM_MICROS('$4')}, m.metadata, e.output::jsonb, e.error
  FROM jsonb_to_recordset($1::jsonb) AS known ("endpointId" text)
  JOIN inlet.webhook_endpoints AS s ON s.endpoint_id = known."endpointId" COLLATE "C" AND s.disabled_at IS NULL
  JOIN jsonb_to_recordset($2::jsonb)
         AS e (type text, namespace text, "objectId" text, "requestId" text, key text, output text, error text)
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

/**
 * Writes events for the endpoints that want them. All were accepted at `acceptedAt` (microseconds since 1970). Events
 * that are there already stay as they are: their batch came a second time.
 * @returns the ids of the endpoints that may have got something
 */
export async function recordEvents(
  on: Queryable,
  subscriptions: readonly Subscription[],
  acceptedAt: number,
  events: readonly OutboxEvent[],
): Promise<readonly string[]> {
  const wanting = subscriptions.filter((wish) => events.some((event) => wants(wish, event)));
  if (wanting.length === 0) return [];
  const wanted = events.filter((event) => wanting.some((wish) => wants(wish, event)));
  await on.write({
    name: 'record-events',
    text: RECORD,
    values: [
      JSON.stringify(wanting),
      JSON.stringify(wanted),
      [...new Set(wanted.map(({ namespace }) => namespace))],
      acceptedAt,
    ],
  });
  return wanting.map(({ endpointId }) => endpointId);
}

/** As {@link recordEvents}, for events that were accepted at several times (microseconds since 1970). */
export async function recordEventsByTime(
  on: Queryable,
  subscriptions: readonly Subscription[],
  events: readonly { readonly acceptedAt: number; readonly event: OutboxEvent }[],
): Promise<readonly string[]> {
  const endpointIds = new Set<string>();
  for (const time of new Set(events.map(({ acceptedAt }) => acceptedAt))) {
    const some = events.filter(({ acceptedAt }) => acceptedAt === time).map(({ event }) => event);
    for (const id of await recordEvents(on, subscriptions, time, some)) endpointIds.add(id);
  }
  return [...endpointIds];
}

function wants({ namespaces, events }: Subscription, { type, namespace }: OutboxEvent): boolean {
  return events.includes(type) && (namespaces === undefined || namespaces.includes(namespace));
}
