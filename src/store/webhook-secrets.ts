/** The secrets of endpoints: the current one, and those that still sign because they were rotated out not long ago. */
import type { Queryable } from './database.ts';

/** How long a secret that was rotated out still signs. */
const OVERLAP = `interval '24 hours'`;

export interface WebhookSecret {
  /** `whsec_` and base64. */
  readonly secret: string;
  readonly createdAt: Date;
  /** Until when it signs; undefined: it is the current one. */
  readonly expiresAt: Date | undefined;
}

/** Makes a secret the current one of a new endpoint, or of one whose former one has been given an end. */
export async function insertSecret(on: Queryable, endpointId: string, secret: string): Promise<void> {
  await on.write({
    text: 'INSERT INTO inlet.webhook_secrets (endpoint_id, secret, created_at) VALUES ($1, $2, clock_timestamp())',
    values: [endpointId, secret],
  });
}

/** The secrets that an endpoint's deliveries are signed with: the current one first, then the newer before the older. */
export async function activeSecrets(on: Queryable, endpointId: string): Promise<WebhookSecret[]> {
  const rows = await on.query<{ secret: string; created_at: Date; expires_at: Date | null }>({
    name: 'webhook-secrets',
    text: `SELECT secret, created_at, expires_at FROM inlet.webhook_secrets
           WHERE endpoint_id = $1 AND (expires_at IS NULL OR expires_at > now())
           ORDER BY expires_at DESC NULLS FIRST, created_at DESC`,
    values: [endpointId],
  });
  return rows.map(({ secret, created_at, expires_at }) => ({
    secret,
    createdAt: created_at,
    expiresAt: expires_at ?? undefined,
  }));
}

/**
 * Makes another secret the current one. The one before still signs for 24 hours, as do others until their ends.
 * @param transaction in which the endpoint exists, and is locked against another rotation
 */
export async function rotateSecret(
  transaction: Queryable,
  endpointId: string,
  secret: string,
): Promise<void> {
  await transaction.write({
    text: 'DELETE FROM inlet.webhook_secrets WHERE endpoint_id = $1 AND expires_at <= now()',
    values: [endpointId],
  });
  await transaction.write({
    text: `UPDATE inlet.webhook_secrets SET expires_at = now() + ${OVERLAP}
           WHERE endpoint_id = $1 AND expires_at IS NULL`,
    values: [endpointId],
  });
  await insertSecret(transaction, endpointId, secret);
}
