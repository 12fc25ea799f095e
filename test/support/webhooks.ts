/** Endpoints and deliveries of webhooks, straight in the tables. */
import type { Database } from '../../src/store/database.ts';

export interface EndpointRow {
  readonly url?: string;
  readonly namespaces?: readonly string[];
  readonly events?: readonly string[];
  readonly rate?: number;
  readonly disabled?: boolean;
  readonly secret?: string;
}

/** Inserts an endpoint with a secret. */
export async function insertEndpointRow(
  database: Database,
  endpointId: string,
  {
    url = 'https://receiver.example/',
    namespaces,
    events = ['workflow.succeeded', 'workflow.failed'],
    rate,
    disabled = false,
    secret = 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
  }: EndpointRow = {},
): Promise<void> {
  await database.query({
    text: `WITH secret AS (INSERT INTO inlet.webhook_secrets (endpoint_id, secret) VALUES ($1, $2))
           INSERT INTO inlet.webhook_endpoints
             (endpoint_id, url, namespaces, events, rate, disabled_at, disabled_reason)
           VALUES ($1, $3, $4, $5, $6, CASE WHEN $7 THEN now() END, CASE WHEN $7 THEN 'requested' END)`,
    values: [endpointId, secret, url, namespaces ?? null, events, rate ?? null, disabled],
  });
}

export interface DeliveryRow {
  readonly endpoint_id: string;
  readonly webhook_id: string;
  readonly type: string;
  readonly namespace: string;
  readonly object_id: string;
  readonly request_id: string;
  readonly metadata: string | null;
  readonly output: string | null;
  readonly error: string | null;
  readonly status: string;
  readonly attempts: readonly { readonly status_code: number | null; readonly error: string | null }[];
  readonly tries: number;
}

/** All deliveries in the order of their ids; metadata and output as JSON text. */
export function deliveryRows(database: Database): Promise<DeliveryRow[]> {
  return database.query<DeliveryRow & Record<string, unknown>>({
    text: `SELECT endpoint_id, webhook_id, type, namespace, object_id, request_id, metadata::text AS metadata,
                  output::text AS output, error, status, attempts, tries
           FROM inlet.webhook_deliveries ORDER BY endpoint_id, webhook_id`,
  });
}
