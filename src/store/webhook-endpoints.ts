/** The endpoints of webhooks: made, listed, changed, deleted. Who may see one is a condition of every statement. */
import type { DisabledReason, EventType, WebhookEndpoint } from '../domain/webhook.ts';
import type { EndpointChanges } from '../domain/webhook-endpoint.ts';
import type { Queryable } from './database.ts';
import { MICROS_OF, TIME_FROM_MICROS } from './sql-time.ts';

/** The namespaces that somebody may see; undefined: all of them. */
export type SeenNamespaces = readonly string[] | undefined;

/** An endpoint as it is shown. */
export interface ListedEndpoint extends WebhookEndpoint {
  /** Nothing is sent before this time. */
  readonly pausedUntil: Date | undefined;
}

/** What is kept of a new endpoint. */
export interface EndpointRecord extends Pick<WebhookEndpoint, 'id' | 'url' | 'description'> {
  readonly namespaces: SeenNamespaces;
  readonly events: readonly EventType[];
  readonly rate: number | undefined;
  readonly disabled: boolean;
  /** The id of the API key that makes it. */
  readonly createdBy: string;
}

interface Row {
  readonly endpoint_id: string;
  readonly url: string;
  readonly description: string;
  readonly namespaces: string[] | null;
  readonly events: EventType[];
  readonly rate: number | null;
  readonly disabled_at: Date | null;
  readonly disabled_reason: DisabledReason | null;
  readonly failing_since: Date | null;
  readonly paused_until: Date | null;
  readonly created_by: string | null;
  readonly url_set_by: string | null;
  readonly created_at: Date;
  readonly updated_at: Date;
}

function fromRow(row: Row): ListedEndpoint {
  const { disabled_at, disabled_reason } = row;
  return {
    id: row.endpoint_id,
    url: row.url,
    description: row.description,
    namespaces: row.namespaces ?? undefined,
    events: row.events,
    rate: row.rate ?? undefined,
    disabled: disabled_at && disabled_reason ? { at: disabled_at, reason: disabled_reason } : undefined,
    failingSince: row.failing_since ?? undefined,
    pausedUntil: row.paused_until ?? undefined,
    createdBy: row.created_by ?? undefined,
    urlSetBy: row.url_set_by ?? undefined,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/**
 * SQL that tells whether an endpoint is seen by who may see the namespaces of a parameter (NULL: all of them). One
 * for all namespaces is seen only by who may see them all.
 */
export const SEEN_BY = (parameter: string): string =>
  `(${parameter}::text[] IS NULL OR namespaces <@ ${parameter}::text[])`;

/** Any number of our own: the key of the advisory lock under which endpoints are counted ("webhooks" in ASCII). */
const COUNT_LOCK = '8603390863846894451';

/** How many endpoints there are, and how many of them a key has made. */
export interface EndpointCounts {
  readonly all: number;
  readonly ofKey: number;
}

/**
 * Counts the endpoints, for one that is to be made.
 * @param transaction in which nothing else should be waited for: others who make endpoints wait for its end
 */
export async function countEndpoints(transaction: Queryable, keyId: string): Promise<EndpointCounts> {
  await transaction.query({ text: 'SELECT pg_advisory_xact_lock($1)', values: [COUNT_LOCK] });
  const [counts] = await transaction.query<{ all: number; of_key: number }>({
    text: `SELECT count(*)::integer AS all, (count(*) FILTER (WHERE created_by = $1))::integer AS of_key
           FROM inlet.webhook_endpoints`,
    values: [keyId],
  });
  return { all: counts?.all ?? 0, ofKey: counts?.of_key ?? 0 };
}

/** Keeps a new endpoint. */
export async function insertEndpoint(
  transaction: Queryable,
  { id, url, description, namespaces, events, rate, disabled, createdBy }: EndpointRecord,
): Promise<ListedEndpoint> {
  const [row] = await transaction.query<Row>({
    text: `INSERT INTO inlet.webhook_endpoints
             (endpoint_id, url, description, namespaces, events, rate, disabled_at, disabled_reason, created_by, url_set_by)
           VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN now() END, CASE WHEN $7 THEN 'requested' END, $8, $8)
           RETURNING *`,
    values: [id, url, description, namespaces ?? null, events, rate ?? null, disabled, createdBy],
  });
  if (!row) throw new Error('an insert has returned no row');
  return fromRow(row);
}

/** Disables the endpoints of {@link endpointsOfKey}. */
export async function disableEndpointsOfKey(on: Queryable, keyId: string): Promise<void> {
  await on.write({
    text: `UPDATE inlet.webhook_endpoints SET disabled_at = now(), disabled_reason = 'requested', updated_at = now()
           WHERE (created_by = $1 OR url_set_by = $1) AND disabled_at IS NULL`,
    values: [keyId],
  });
}

/** Lists the endpoints that a key has made, or whose URL it has set, the oldest first. */
export async function endpointsOfKey(on: Queryable, keyId: string): Promise<ListedEndpoint[]> {
  const rows = await on.query<Row>({
    text: `SELECT * FROM inlet.webhook_endpoints WHERE created_by = $1 OR url_set_by = $1 ORDER BY created_at, endpoint_id`,
    values: [keyId],
  });
  return rows.map(fromRow);
}

/** A stretch of the list of endpoints. */
export interface EndpointPage {
  readonly endpoints: readonly ListedEndpoint[];
  /** Where the list goes on; undefined at its end. */
  readonly next: string | undefined;
}

const POSITION = /^(\d{1,17})_(ep_\w+)$/;

/** Whether a text can be the `next` of a page. */
export function isEndpointPosition(text: string): boolean {
  return POSITION.test(text);
}

/** Lists the endpoints that somebody may see, the newest first. @param after `next` of the page before */
export async function listEndpoints(
  on: Queryable,
  seen: SeenNamespaces,
  { after, limit }: { readonly after: string | undefined; readonly limit: number },
): Promise<EndpointPage> {
  const [, micros, id] = POSITION.exec(after ?? '') ?? [];
  const rows = await on.query<Row & { readonly created_micros: string }>({
    text: `SELECT *, ${MICROS_OF('created_at')} AS created_micros
           FROM inlet.webhook_endpoints
           WHERE ${SEEN_BY('$1')}
             AND ($3::text IS NULL OR (created_at, endpoint_id) < (${TIME_FROM_MICROS('$2')}, $3))
           ORDER BY created_at DESC, endpoint_id DESC LIMIT $4`,
    values: [seen ?? null, micros ?? null, id ?? null, limit + 1],
  });
  const last = rows.length > limit ? rows[limit - 1] : undefined;
  return {
    endpoints: rows.slice(0, limit).map(fromRow),
    next: last && `${last.created_micros}_${last.endpoint_id}`,
  };
}

/** Reads an endpoint; undefined where there is none, or none that may be seen. */
export async function findEndpoint(
  on: Queryable,
  seen: SeenNamespaces,
  id: string,
): Promise<ListedEndpoint | undefined> {
  const [row] = await on.query<Row>({
    text: `SELECT * FROM inlet.webhook_endpoints WHERE endpoint_id = $1 AND ${SEEN_BY('$2')}`,
    values: [id, seen ?? null],
  });
  return row && fromRow(row);
}

/**
 * Locks an endpoint until the end of the transaction against whoever else changes it.
 * @returns whether there is one that may be seen
 */
export async function lockEndpoint(
  transaction: Queryable,
  seen: SeenNamespaces,
  id: string,
): Promise<boolean> {
  const rows = await transaction.query({
    text: `SELECT 1 FROM inlet.webhook_endpoints WHERE endpoint_id = $1 AND ${SEEN_BY('$2')} FOR NO KEY UPDATE`,
    values: [id, seen ?? null],
  });
  return rows.length > 0;
}

/** What an enabled endpoint, or another URL, has nothing to do with any more. */
const FORGETS = '($10::boolean IS FALSE OR url <> coalesce($3, url))';

const UPDATE = `
  UPDATE inlet.webhook_endpoints SET
    url = coalesce($3, url),
    url_set_by = CASE WHEN url <> $3 THEN $11 ELSE url_set_by END,
    description = coalesce($4, description),
    namespaces = CASE WHEN $5::boolean THEN $6::text[] ELSE namespaces END,
    events = coalesce($7::text[], events),
    rate = CASE WHEN $8::boolean THEN $9::integer ELSE rate END,
    disabled_at = CASE $10::boolean WHEN true THEN coalesce(disabled_at, now()) WHEN false THEN NULL ELSE disabled_at END,
    disabled_reason = CASE $10::boolean WHEN true THEN coalesce(disabled_reason, 'requested')
                                        WHEN false THEN NULL ELSE disabled_reason END,
    failing_since = CASE WHEN ${FORGETS} THEN NULL ELSE failing_since END,
    paused_until = CASE WHEN ${FORGETS} THEN NULL ELSE paused_until END,
    updated_at = now()
  WHERE endpoint_id = $1 AND ${SEEN_BY('$2')}
  RETURNING *`;

/**
 * Changes an endpoint. Enabling it also ends what a receiver has brought about: a pause, and the count of days for
 * which it has failed; so does another URL.
 * @param keyId the API key that does it
 * @returns as it is now; undefined where there is none, or none that may be seen
 */
export async function updateEndpoint(
  on: Queryable,
  seen: SeenNamespaces,
  id: string,
  changes: EndpointChanges,
  keyId: string,
): Promise<ListedEndpoint | undefined> {
  const { url, description, namespaces, events, rate, disabled } = changes;
  const [row] = await on.query<Row>({
    text: UPDATE,
    values: [
      id,
      seen ?? null,
      url ?? null,
      description ?? null,
      namespaces !== undefined,
      namespaces ?? null,
      events ?? null,
      rate !== undefined,
      rate ?? null,
      disabled ?? null,
      keyId,
    ],
  });
  return row && fromRow(row);
}

/**
 * Deletes an endpoint and its secrets.
 * @returns whether there was one that may be seen
 */
export async function deleteEndpoint(
  transaction: Queryable,
  seen: SeenNamespaces,
  id: string,
): Promise<boolean> {
  const deleted = await transaction.write({
    text: `DELETE FROM inlet.webhook_endpoints WHERE endpoint_id = $1 AND ${SEEN_BY('$2')}`,
    values: [id, seen ?? null],
  });
  if (deleted === 0) return false;
  await transaction.write({
    text: 'DELETE FROM inlet.webhook_secrets WHERE endpoint_id = $1',
    values: [id],
  });
  return true;
}
