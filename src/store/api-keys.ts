/** The table of API keys: by the hash of each, never the key itself. */
import type { ActiveApiKey, ApiKeyRights, Scope } from '../domain/api-key.ts';
import type { Queryable } from './database.ts';

/** The channel on which the table's trigger tells that a key was made, changed or revoked. */
export const API_KEYS_CHANNEL = 'inlet_api_keys';

/** A key as it is listed: also one that was revoked or has expired. */
export interface ListedApiKey extends ApiKeyRights {
  readonly id: string;
  readonly createdAt: Date;
  readonly revokedAt: Date | undefined;
  readonly lastUsedAt: Date | undefined;
}

interface Row {
  readonly key_id: string;
  readonly name: string;
  readonly hash: Buffer;
  readonly scopes: Scope[];
  readonly namespaces: string[] | null;
  readonly request_rate: number | null;
  readonly object_rate: number | null;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
  readonly last_used_at: Date | null;
}

function rightsOf(row: Row): ApiKeyRights {
  return {
    name: row.name,
    scopes: row.scopes,
    namespaces: row.namespaces ?? undefined,
    requestRate: row.request_rate ?? undefined,
    objectRate: row.object_rate ?? undefined,
    expiresAt: row.expires_at ?? undefined,
  };
}

/** Keeps a new key. */
export async function insertApiKey(on: Queryable, key: ActiveApiKey): Promise<void> {
  await on.query({
    text: `INSERT INTO inlet.api_keys
             (key_id, name, hash, scopes, namespaces, request_rate, object_rate, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    values: [
      key.id,
      key.name,
      key.hash,
      key.scopes,
      key.namespaces ?? null,
      key.requestRate ?? null,
      key.objectRate ?? null,
      key.expiresAt ?? null,
    ],
  });
}

/** All keys that may be used, and those that have expired not long ago: whoever brings one is told so. */
export async function activeApiKeys(on: Queryable): Promise<ActiveApiKey[]> {
  const rows = await on.query<Row>({
    name: 'active-api-keys',
    text: `SELECT * FROM inlet.api_keys
           WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now() - interval '30 days')`,
  });
  return rows.map((row) => ({ id: row.key_id, hash: row.hash, ...rightsOf(row) }));
}

/** All keys, the newest first. */
export async function listApiKeys(on: Queryable): Promise<ListedApiKey[]> {
  const rows = await on.query<Row>({
    text: 'SELECT * FROM inlet.api_keys ORDER BY created_at DESC, key_id',
  });
  return rows.map((row) => ({
    id: row.key_id,
    ...rightsOf(row),
    createdAt: row.created_at,
    revokedAt: row.revoked_at ?? undefined,
    lastUsedAt: row.last_used_at ?? undefined,
  }));
}

/** Revokes a key. @returns whether there was one with this id that wasn't revoked yet */
export async function revokeApiKey(on: Queryable, id: string): Promise<boolean> {
  const rows = await on.query({
    text: `UPDATE inlet.api_keys SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL
           RETURNING key_id`,
    values: [id],
  });
  return rows.length > 0;
}

/**
 * Keeps a key from being revoked until the end of the transaction, so that nothing is done with it after that.
 * @returns whether it may still be used
 */
export async function holdApiKey(transaction: Queryable, id: string): Promise<boolean> {
  const rows = await transaction.query({
    text: 'SELECT FROM inlet.api_keys WHERE key_id = $1 AND revoked_at IS NULL FOR SHARE',
    values: [id],
  });
  return rows.length > 0;
}

/** Notes when keys were last used. Several processes do; the latest time stays. */
export async function noteApiKeysUsed(
  on: Queryable,
  used: readonly { readonly id: string; readonly at: Date }[],
): Promise<void> {
  await on.query({
    text: `UPDATE inlet.api_keys AS key SET last_used_at = used.at
           FROM ROWS FROM (unnest($1::text[]), unnest($2::timestamptz[])) AS used (id, at)
           WHERE key.key_id = used.id AND (key.last_used_at IS NULL OR key.last_used_at < used.at)`,
    values: [used.map(({ id }) => id), used.map(({ at }) => at)],
  });
}
