/** An Inlet whose webhooks are retried soon, and waits for what becomes of them. */
import type { Database } from '../../src/store/database.ts';
import type { InletTest } from './fixtures.ts';
import { query } from './postgres.ts';
import type { Delivery } from './receiver.ts';
import { deliveriesOf, endpointState } from './receiver.ts';
import { waitFor } from './wait-for.ts';
import { deleteWebhooks } from './webhook-deliveries.ts';

export const OPTIONS = {
  prepare: (databaseUrl: string) =>
    query(databaseUrl, `ALTER TABLE inlet.objects ADD CHECK (NOT data ? 'refuse')`),
  settings: {
    webhookAllowHttp: true,
    webhookAllowNetworks: ['127.0.0.0/8'],
    publicUrl: 'https://inlet.example.com',
  },
  // Retries that come soon, three of them, and a look for them soon after.
  workerParts: { webhooks: { schedule: [20, 20, 20], sweepMs: 50 } },
};

/** Waits until no delivery of an endpoint is pending. */
export function done(database: Database, endpointId: string): Promise<Delivery[]> {
  return waitFor('all deliveries to be over', async () => {
    const rows = await deliveriesOf(database, endpointId);
    return rows.length > 0 && rows.every(({ status }) => status !== 'pending') && rows;
  });
}

/** Waits until an endpoint is disabled for a reason. */
export async function disabled(database: Database, endpointId: string, reason: string): Promise<void> {
  const isDisabled = async () => (await endpointState(database, endpointId)).disabled_reason === reason;
  await waitFor(`the endpoint to be disabled as ${reason}`, isDisabled);
}

/** Waits until an endpoint is paused. @returns until when */
export function paused(database: Database, endpointId: string): Promise<Date> {
  return waitFor('the endpoint to be paused', async () => {
    const { paused_until } = await endpointState(database, endpointId);
    return paused_until ?? undefined;
  });
}

/** All tests need an Inlet that runs, and nothing of one is to be delivered in the next. */
export function aroundEach(test: InletTest): void {
  test.beforeEach(({ inlet: _ }) => undefined);
  test.afterEach(({ store: { database } }) => deleteWebhooks(database));
}
