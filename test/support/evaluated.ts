/** Evaluation end to end: an Inlet with an evaluator in its workers, and what it answers. */
import { expect } from 'vitest';
import type { Database } from '../../src/store/database.ts';
import type { InletOptions } from './fixtures.ts';
import type { TestInlet } from './inlet.ts';
import { query } from './postgres.ts';
import { connectStore } from './store.ts';
import type { DeliveryRow } from './webhooks.ts';
import { deliveryRows, insertEndpointRow } from './webhooks.ts';

/** As in INLET_EVALUATOR; it does what the object says. */
export const EVALUATOR = 'test/support/evaluator.mjs';

/** The namespace of all objects. */
export const NS = 'evaluated';

/** An Inlet with an evaluator, and an endpoint that nothing is sent to: its receiver has asked for a pause. */
export const EVALUATING: InletOptions = {
  settings: { evaluator: EVALUATOR, evaluatorTimeout: 1_500, evaluatorConcurrency: 32 },
  workers: 2,
  prepare: async (databaseUrl) => {
    await query(databaseUrl, `ALTER TABLE inlet.objects ADD CHECK (NOT data ? 'refuse')`);
    await insertPausedEndpoint(databaseUrl);
  },
};

/** Inserts an endpoint that gets events, and is sent none. */
export async function insertPausedEndpoint(databaseUrl: string): Promise<void> {
  const store = connectStore(databaseUrl);
  await insertEndpointRow(store.database, 'ep_1');
  await query(databaseUrl, `UPDATE inlet.webhook_endpoints SET paused_until = now() + interval '1 day'`);
  await store.close();
}

interface ResultAnswer {
  readonly id: string;
  readonly output: {
    readonly actions: readonly unknown[];
    readonly labels: readonly unknown[];
    readonly fields: Readonly<Record<string, unknown>>;
  };
  readonly evaluation_error?: string;
}

/** Writes objects. @returns the request's id */
export function write(inlet: TestInlet, ...objects: object[]): Promise<string> {
  return inlet.write(NS, JSON.stringify({ data: objects }));
}

/** Waits until a request is done. @returns its results */
export async function resultsOf(inlet: TestInlet, requestId: string): Promise<readonly ResultAnswer[]> {
  return (await inlet.done(NS, requestId)).data as unknown as ResultAnswer[];
}

/** What was told of to the endpoint for a request. */
export async function eventsOf(database: Database, requestId: string): Promise<readonly DeliveryRow[]> {
  return (await deliveryRows(database)).filter(({ request_id }) => request_id === requestId);
}

/** What waits to be evaluated. */
export function waiting(database: Database): Promise<unknown[]> {
  return database.query({ text: 'SELECT 1 FROM inlet.evaluations' });
}

/** Writes so many requests with ten objects each, and checks that each object is evaluated and told of once. */
export async function checkManyRequests(inlet: TestInlet, database: Database, count: number): Promise<void> {
  const requests = await Promise.all(
    Array.from({ length: count }, (_, r) =>
      write(inlet, ...Array.from({ length: 10 }, (__, i) => ({ id: `many-${r}-${i}` }))),
    ),
  );
  // Asking for all of them at a time would be a test of something else.
  const all: ResultAnswer[] = [];
  for (const requestId of requests) all.push(...(await resultsOf(inlet, requestId)));
  expect(all.filter(({ output }) => output.labels[0] === 'seen')).toHaveLength(10 * count);
  expect(all.every(({ output }) => output.fields['calls'] === 1)).toBe(true);
  const rows = await deliveryRows(database);
  expect(rows).toHaveLength(10 * count);
  expect(rows.every(({ type }) => type === 'workflow.succeeded')).toBe(true);
  expect(await waiting(database)).toEqual([]);
}
