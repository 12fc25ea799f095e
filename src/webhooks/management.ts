/**
 * What an operator does with endpoints: all that the API and so the command offer. It writes rows and nothing else;
 * workers find out by themselves.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { EndpointChanges, Replay } from '../domain/webhook-endpoint.ts';
import { createEndpointId, createWebhookSecret, testWebhookId } from '../domain/webhook-ids.ts';
import { ProblemError } from '../errors.ts';
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

/**
 * The endpoints as somebody may see them. `seen` are the namespaces that this somebody may see, undefined for all; what
 * can't be seen is answered like what isn't there, with undefined or false.
 */
export interface WebhookManagement {
  /**
   * The endpoint gets the events of all that is stored from then on.
   * @returns undefined where there are {@link MAX_ENDPOINTS} already
   * @throws ProblemError where that can't be said yet; it isn't there then
   */
  create(
    endpoint: Omit<EndpointRecord, 'id'>,
  ): Promise<{ readonly endpoint: ListedEndpoint; readonly secret: string } | undefined>;
  list(
    seen: SeenNamespaces,
    page: { readonly after: string | undefined; readonly limit: number },
  ): Promise<EndpointPage>;
  find(seen: SeenNamespaces, id: string): Promise<ListedEndpoint | undefined>;
  /**
   * Also drops what is pending and isn't asked for any more.
   * @throws ProblemError where stores go on that may not know of the change; it is made all the same
   */
  update(seen: SeenNamespaces, id: string, changes: EndpointChanges): Promise<ListedEndpoint | undefined>;
  /** With its secrets, and with what is pending. */
  delete(seen: SeenNamespaces, id: string): Promise<boolean>;
  /** The secrets that deliveries are signed with, the current one first. */
  secrets(seen: SeenNamespaces, id: string): Promise<readonly WebhookSecret[] | undefined>;
  /** Makes a new secret the current one. */
  rotate(seen: SeenNamespaces, id: string): Promise<readonly WebhookSecret[] | undefined>;
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
    async create(endpoint) {
      const created = await database.transaction((transaction) => create(transaction, endpoint));
      if (!created || created.endpoint.disabled || (await storesEnd(database, patienceMs))) return created;
      await database.transaction((transaction) =>
        deleteEndpoint(transaction, undefined, created.endpoint.id),
      );
      await dropUnwanted(database, created.endpoint.id);
      throw storesGoOn('nothing was made');
    },
    list: (seen, page) => listEndpoints(database, seen, page),
    find: (seen, id) => findEndpoint(database, seen, id),
    async update(seen, id, changes) {
      const endpoint = await updateEndpoint(database, seen, id, changes);
      const asksForOthers = changes.namespaces !== undefined || changes.events !== undefined;
      if (endpoint && (asksForOthers || changes.disabled === false)) {
        const ended = await storesEnd(database, patienceMs);
        if (asksForOthers) await dropUnwanted(database, id);
        if (!ended) throw storesGoOn('the change is made, but they may not go by it');
      }
      return endpoint;
    },
    async delete(seen, id) {
      const deleted = await database.transaction((transaction) => deleteEndpoint(transaction, seen, id));
      // Not in the transaction, because there may be very many. Without an endpoint, nobody would send them anyway.
      if (deleted) await dropUnwanted(database, id);
      return deleted;
    },
    async secrets(seen, id) {
      return (await findEndpoint(database, seen, id)) && activeSecrets(database, id);
    },
    rotate: (seen, id) =>
      database.transaction(async (transaction) => {
        if (!(await lockEndpoint(transaction, seen, id))) return undefined;
        await rotateSecret(transaction, id, createWebhookSecret());
        return activeSecrets(transaction, id);
      }),
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

async function create(transaction: Queryable, record: Omit<EndpointRecord, 'id'>) {
  const id = createEndpointId();
  const secret = createWebhookSecret();
  const endpoint = await insertEndpoint(transaction, { ...record, id }, MAX_ENDPOINTS);
  if (!endpoint) return undefined;
  await insertSecret(transaction, id, secret);
  return { endpoint, secret };
}
