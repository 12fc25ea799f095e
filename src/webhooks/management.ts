/**
 * What an operator does with endpoints: all that the API and so the command offer. It writes rows and nothing else;
 * workers find out by themselves.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { EndpointChanges, Replay } from '../domain/webhook-endpoint.ts';
import { createEndpointId, createWebhookSecret, testWebhookId } from '../domain/webhook-ids.ts';
import { ProblemError } from '../errors.ts';
import { holdApiKey } from '../store/api-keys.ts';
import type { Database, Queryable } from '../store/database.ts';
import type { ListPage } from '../store/object-lists.ts';
import type { Delivery, DeliveryFilter } from '../store/webhook-deliveries.ts';
import { listDeliveries } from '../store/webhook-deliveries.ts';
import type {
  EndpointPage,
  EndpointRecord,
  ListedEndpoint,
  SeenNamespaces,
} from '../store/webhook-endpoints.ts';
import {
  countEndpoints,
  deleteEndpoint,
  findEndpoint,
  insertEndpoint,
  listEndpoints,
  lockEndpoint,
  updateEndpoint,
} from '../store/webhook-endpoints.ts';
import { openStores } from '../store/webhook-outbox.ts';
import { dropUnwanted, insertTestEvent, replayDeliveries } from '../store/webhook-outgoing.ts';
import type { WebhookSecret } from '../store/webhook-secrets.ts';
import { activeSecrets, insertSecret, rotateSecret } from '../store/webhook-secrets.ts';

/** How long whoever makes or changes an endpoint waits for stores that began before, and from one look to the next, in milliseconds. */
const PATIENCE_MS = 30_000;
const LOOK_EVERY_MS = 25;

/** Most endpoints of a server: each event is matched against all of them. */
export const MAX_ENDPOINTS = 500;

/** Most endpoints that one API key of the database may have made, so that none takes all of them. */
export const MAX_ENDPOINTS_OF_KEY = 50;

export type EndpointAction = 'created' | 'updated' | 'deleted' | 'secret_rotated';

/** With which API key something is done. */
export interface Actor {
  readonly keyId: string;
  /** Whether it is one of the settings: those are the operator's, and neither revoked nor counted. */
  readonly isOfSettings: boolean;
  /** Told of each change as soon as it is made, with the endpoint as it is then. */
  readonly audit: (action: EndpointAction, endpointId: string, endpoint?: ListedEndpoint) => void;
}

/**
 * The endpoints as somebody may see them. `seen` are the namespaces that this somebody may see, undefined for all; what
 * can't be seen is answered like what isn't there, with undefined or false.
 */
export interface WebhookManagement {
  /**
   * The endpoint gets the events of all that is stored from then on.
   * @throws ProblemError where there are {@link MAX_ENDPOINTS} already, or {@link MAX_ENDPOINTS_OF_KEY} by this key; where the key was
   * revoked just now; where it can't be said yet whether it gets them. It isn't there then
   */
  create(
    endpoint: Omit<EndpointRecord, 'id' | 'createdBy'>,
    by: Actor,
  ): Promise<{ readonly endpoint: ListedEndpoint; readonly secret: string }>;
  list(
    seen: SeenNamespaces,
    page: { readonly after: string | undefined; readonly limit: number },
  ): Promise<EndpointPage>;
  find(seen: SeenNamespaces, id: string): Promise<ListedEndpoint | undefined>;
  /**
   * Also drops what is pending and isn't asked for any more.
   * @throws ProblemError where stores go on that may not know of the change; it is made all the same. Where the key was revoked just
   * now; nothing is changed then
   */
  update(
    seen: SeenNamespaces,
    id: string,
    changes: EndpointChanges,
    by: Actor,
  ): Promise<ListedEndpoint | undefined>;
  /** With its secrets, and with what is pending. */
  delete(seen: SeenNamespaces, id: string, by: Actor): Promise<boolean>;
  /** The secrets that deliveries are signed with, the current one first. */
  secrets(seen: SeenNamespaces, id: string): Promise<readonly WebhookSecret[] | undefined>;
  /** Makes a new secret the current one. */
  rotate(seen: SeenNamespaces, id: string, by: Actor): Promise<readonly WebhookSecret[] | undefined>;
  /**
   * Has a test event sent.
   * @param requestId the request that asks for it
   * @returns its `webhook-id`; `disabled` where nothing is sent to this endpoint
   */
  test(seen: SeenNamespaces, id: string, requestId: string): Promise<string | 'disabled' | undefined>;
  /** Has deliveries sent again. @returns how many; `disabled` where nothing is sent to this endpoint */
  replay(seen: SeenNamespaces, id: string, which: Replay): Promise<number | 'disabled' | undefined>;
  /** @returns undefined where it is asked for those of an endpoint that isn't there */
  deliveries(seen: SeenNamespaces, filter: DeliveryFilter): Promise<ListPage<Delivery> | undefined>;
}

/** @param patienceMs how long stores that began before a change are waited for, in milliseconds */
export function webhookManagement(database: Database, patienceMs = PATIENCE_MS): WebhookManagement {
  return {
    async create(endpoint, by) {
      const created = await database.transaction((transaction) => create(transaction, endpoint, by));
      const { id } = created.endpoint;
      by.audit('created', id, created.endpoint);
      if (created.endpoint.disabled || (await storesEnd(database, patienceMs))) return created;
      await database.transaction((transaction) => deleteEndpoint(transaction, undefined, id));
      by.audit('deleted', id);
      await dropUnwanted(database, id);
      throw storesGoOn('nothing was made');
    },
    list: (seen, page) => listEndpoints(database, seen, page),
    find: (seen, id) => findEndpoint(database, seen, id),
    async update(seen, id, changes, by) {
      const endpoint = await database.transaction(async (transaction) => {
        await requireKey(transaction, by);
        return updateEndpoint(transaction, seen, id, changes, by.keyId);
      });
      if (endpoint) by.audit('updated', id, endpoint);
      const asksForOthers = changes.namespaces !== undefined || changes.events !== undefined;
      if (endpoint && (asksForOthers || changes.disabled === false)) {
        const ended = await storesEnd(database, patienceMs);
        if (asksForOthers) await dropUnwanted(database, id);
        if (!ended) throw storesGoOn('the change is made, but they may not go by it');
      }
      return endpoint;
    },
    async delete(seen, id, by) {
      const deleted = await database.transaction((transaction) => deleteEndpoint(transaction, seen, id));
      // Not in the transaction, because there may be very many. Without an endpoint, nobody would send them anyway.
      if (!deleted) return false;
      by.audit('deleted', id);
      await dropUnwanted(database, id);
      return true;
    },
    async secrets(seen, id) {
      return (await findEndpoint(database, seen, id)) && activeSecrets(database, id);
    },
    async rotate(seen, id, by) {
      const secrets = await database.transaction(async (transaction) => {
        if (!(await lockEndpoint(transaction, seen, id))) return undefined;
        await rotateSecret(transaction, id, createWebhookSecret());
        return activeSecrets(transaction, id);
      });
      if (secrets) by.audit('secret_rotated', id);
      return secrets;
    },
    async test(seen, id, requestId) {
      const endpoint = await findEndpoint(database, seen, id);
      if (!endpoint) return undefined;
      if (endpoint.disabled) return 'disabled';
      const webhookId = testWebhookId(requestId);
      await insertTestEvent(database, id, { webhookId, requestId });
      return webhookId;
    },
    async replay(seen, id, which) {
      const endpoint = await findEndpoint(database, seen, id);
      if (!endpoint) return undefined;
      return endpoint.disabled ? 'disabled' : replayDeliveries(database, id, which);
    },
    async deliveries(seen, filter) {
      const { endpointId } = filter;
      if (endpointId !== undefined && !(await findEndpoint(database, seen, endpointId))) return undefined;
      return listDeliveries(database, seen, filter);
    },
  };
}

/**
 * Waits for the end of all stores that may not know of what was committed before. Others begin meanwhile, and know.
 * @returns whether they have ended in time
 */
async function storesEnd(database: Database, patienceMs: number): Promise<boolean> {
  const deadline = performance.now() + patienceMs;
  let open = await openStores(database);
  while (open.length > 0 && performance.now() < deadline) {
    await delay(LOOK_EVERY_MS);
    open = await openStores(database, open);
  }
  return open.length === 0;
}

function storesGoOn(what: string): ProblemError {
  return new ProblemError(
    'unavailable',
    `writes that began before are still being stored, because something locks what they write; ${what}: try again`,
    { headers: { 'retry-after': '5' } },
  );
}

async function create(
  transaction: Queryable,
  record: Omit<EndpointRecord, 'id' | 'createdBy'>,
  by: Actor,
): Promise<{ endpoint: ListedEndpoint; secret: string }> {
  await requireKey(transaction, by);
  const { all, ofKey } = await countEndpoints(transaction, by.keyId);
  if (all >= MAX_ENDPOINTS) throw tooMany(`there are ${MAX_ENDPOINTS} endpoints`);
  if (ofKey >= MAX_ENDPOINTS_OF_KEY && !by.isOfSettings)
    throw tooMany(`this API key has made ${MAX_ENDPOINTS_OF_KEY} endpoints`);
  const id = createEndpointId();
  const secret = createWebhookSecret();
  const endpoint = await insertEndpoint(transaction, { ...record, id, createdBy: by.keyId });
  await insertSecret(transaction, id, secret);
  return { endpoint, secret };
}

function tooMany(what: string): ProblemError {
  return new ProblemError('conflict', `${what}, which is the most: delete one that is not needed`, {
    headers: { 'x-should-retry': 'false' },
  });
}

/** A process may not know yet that a key was revoked; whoever has revoked it has seen all that it had made. */
async function requireKey(transaction: Queryable, { keyId, isOfSettings }: Actor): Promise<void> {
  if (isOfSettings || (await holdApiKey(transaction, keyId))) return;
  throw new ProblemError('unauthorized', 'this API key was revoked: ask for a new one', {
    headers: { 'www-authenticate': 'Bearer' },
  });
}
