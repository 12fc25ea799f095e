/** `inlet keys create`, `list` and `revoke`: API keys beside those of the settings. */
import type { ApiKeyRights } from '../domain/api-key.ts';
import { createApiKey, createApiKeyId, hashApiKey } from '../domain/api-key.ts';
import { OperatorError } from '../errors.ts';
import type { ListedApiKey } from '../store/api-keys.ts';
import { insertApiKey, listApiKeys, revokeApiKey } from '../store/api-keys.ts';
import type { Database, Queryable } from '../store/database.ts';
import type { ListedEndpoint } from '../store/webhook-endpoints.ts';
import { disableEndpointsOfKey, endpointsOfKey } from '../store/webhook-endpoints.ts';
import { printJson } from './print.ts';
import type { Screen } from './terminal.ts';

export interface CreateKeyOptions extends Pick<ApiKeyRights, 'name' | 'scopes' | 'namespaces'> {
  readonly rate: number | undefined;
  readonly objectRate: number | undefined;
  readonly expires: Date | undefined;
  readonly json: boolean;
}

interface Output {
  readonly stdout: Screen;
  readonly stderr: Screen;
}

/** Makes a key and prints it: the key alone on standard output, so that a script can take it, and the rest beside. */
export async function createKey(
  database: Queryable,
  { json, rate, objectRate, expires, ...rights }: CreateKeyOptions,
  { stdout, stderr }: Output,
): Promise<void> {
  const key = createApiKey();
  const created = {
    id: createApiKeyId(),
    ...rights,
    requestRate: rate,
    objectRate,
    expiresAt: expires,
  };
  await insertApiKey(database, { ...created, hash: hashApiKey(key) });
  if (json) {
    stdout.write(`${JSON.stringify({ key, ...rightsJson(created) })}\n`);
    return;
  }
  stdout.write(`${key}\n`);
  stderr.write(
    `\nThis key is shown only now. It is ${created.id} (${created.name}): ${rightsText(created)}.\n` +
      'Every API process knows it within seconds.\n',
  );
}

/** Prints all keys, the newest first; never a key itself, which nobody has. */
export async function listKeys(database: Queryable, json: boolean, stdout: Screen): Promise<void> {
  const keys = await listApiKeys(database);
  if (json) {
    stdout.write(`${JSON.stringify({ data: keys.map(keyJson) })}\n`);
    return;
  }
  if (keys.length === 0) stdout.write('no keys (those of INLET_API_KEYS are not listed here)\n');
  for (const key of keys) {
    const used = key.lastUsedAt ? `last used ${key.lastUsedAt.toISOString()}` : 'never used';
    stdout.write(`${key.id}  ${statusOf(key).padEnd(7)}  ${key.name}: ${rightsText(key)}; ${used}\n`);
  }
}

/**
 * Revokes a key, and tells of the webhook endpoints that it leaves behind: made by it, or with a URL that it has set.
 * @param options.disableEndpoints whether to disable them in the same transaction
 * @throws OperatorError where there is none with this id that could be revoked
 */
export async function revokeKey(
  database: Database,
  {
    id,
    json,
    disableEndpoints,
  }: { readonly id: string; readonly json: boolean; readonly disableEndpoints: boolean },
  stdout: Screen,
): Promise<void> {
  const endpoints = await database.transaction(async (transaction) => {
    const revoked = await revokeApiKey(transaction, id);
    // What it has left behind may be disabled later on, too.
    if (!revoked && !(disableEndpoints && (await listApiKeys(transaction)).some((key) => key.id === id))) {
      throw new OperatorError(
        `There is no key ${JSON.stringify(id)} that could be revoked: "inlet keys list" shows their ids.`,
      );
    }
    if (disableEndpoints) await disableEndpointsOfKey(transaction, id);
    return endpointsOfKey(transaction, id);
  });
  if (json) {
    const left = endpoints.map((endpoint) => ({
      id: endpoint.id,
      disabled: endpoint.disabled !== undefined,
    }));
    return printJson({ id, status: 'revoked', webhook_endpoints: left }, stdout);
  }
  stdout.write(`${id} is revoked; within seconds no API process takes it any more\n`);
  if (endpoints.length > 0) stdout.write(`${leftBehind(id, endpoints)}\n`);
}

function leftBehind(id: string, endpoints: readonly ListedEndpoint[]): string {
  const enabled = endpoints.filter(({ disabled }) => !disabled);
  const ids = (enabled.length > 0 ? enabled : endpoints).map((endpoint) => endpoint.id).join(', ');
  if (enabled.length === 0) return `The webhook endpoints that it made or redirected are disabled: ${ids}`;
  return (
    `Webhook endpoints that it made or redirected still get events: ${ids}\n` +
    `Disable them with "inlet keys revoke ${id} --disable-endpoints".`
  );
}

type Rights = ApiKeyRights & { readonly id: string };

function statusOf({ revokedAt, expiresAt }: ListedApiKey): 'active' | 'expired' | 'revoked' {
  if (revokedAt) return 'revoked';
  return expiresAt && expiresAt.getTime() <= Date.now() ? 'expired' : 'active';
}

function rightsText({ scopes, namespaces, requestRate, objectRate, expiresAt }: Rights): string {
  return [
    scopes.join(', '),
    namespaces ? `namespaces ${namespaces.join(', ')}` : 'all namespaces',
    ...(requestRate === undefined ? [] : [`${requestRate} requests/s`]),
    ...(objectRate === undefined ? [] : [`${objectRate} objects/s`]),
    ...(expiresAt ? [`expires ${expiresAt.toISOString()}`] : []),
  ].join('; ');
}

function rightsJson({ id, name, scopes, namespaces, requestRate, objectRate, expiresAt }: Rights) {
  return {
    id,
    name,
    scopes,
    namespaces: namespaces ?? null,
    request_rate: requestRate ?? null,
    object_rate: objectRate ?? null,
    expires_at: expiresAt?.toISOString() ?? null,
  };
}

function keyJson(key: ListedApiKey) {
  return {
    ...rightsJson(key),
    status: statusOf(key),
    created_at: key.createdAt.toISOString(),
    revoked_at: key.revokedAt?.toISOString() ?? null,
    last_used_at: key.lastUsedAt?.toISOString() ?? null,
  };
}
