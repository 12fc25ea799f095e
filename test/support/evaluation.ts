/** Evaluations of batches without a queue, and what they leave behind. */
import type { Batch } from '../../src/domain/batch.ts';
import type { ObjectEvaluator } from '../../src/evaluation/evaluate-batch.ts';
import { evaluateBatch } from '../../src/evaluation/evaluate-batch.ts';
import type { Evaluation } from '../../src/evaluation/evaluator.ts';
import type { EvaluationInput } from '../../src/evaluation/thread-messages.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database } from '../../src/store/database.ts';
import { findRequest } from '../../src/store/requests.ts';
import { inletTest } from './fixtures.ts';
import { deleteWebhooks } from './webhook-deliveries.ts';
import { deliveryRows, insertEndpointRow } from './webhooks.ts';

/** The namespace of all objects. */
export const NS = 'pages';

const NEVER = new AbortController().signal;

/** `test` with a store that is empty before each test, but for an endpoint that asks for every event. */
export function evaluationTest() {
  const test = inletTest();
  test.beforeEach(async ({ store: { database } }) => {
    const tables = ['outputs', 'objects', 'evaluations', 'requests', 'revisions'];
    for (const table of tables) await database.query({ text: `DELETE FROM inlet.${table}` });
    await deleteWebhooks(database);
    await insertEndpointRow(database, 'ep_1');
  });
  return test;
}

/** Stores a batch that is to be evaluated. @returns whether it waits */
export async function stored(database: Database, batch: Batch): Promise<boolean> {
  let waits = false;
  await storeBatch(database, batch, {
    onWaiting: (batchId) => {
      waits = batchId === batch.id;
    },
  });
  return waits;
}

/** Labels each object with its revision, unless told otherwise. */
export class Recorder implements ObjectEvaluator {
  readonly concurrency = 4;
  readonly calls: EvaluationInput[] = [];
  readonly #answer: (input: EvaluationInput) => Promise<Evaluation> | Evaluation;

  constructor(answer?: (input: EvaluationInput) => Promise<Evaluation> | Evaluation) {
    this.#answer = answer ?? (({ revision }) => labelled(`r${revision}`));
  }

  async evaluate(input: EvaluationInput): Promise<Evaluation> {
    this.calls.push(input);
    return this.#answer(input);
  }

  get ids(): string[] {
    return this.calls.map(({ id }) => id);
  }
}

/** An output with one label. */
export function labelled(label: string): Evaluation {
  return { outcome: 'succeeded', output: JSON.stringify({ actions: [], labels: [label], fields: {} }) };
}

/** Evaluates a batch. */
export function run(
  database: Database,
  batch: Batch,
  evaluator: ObjectEvaluator | undefined,
  stopping = NEVER,
) {
  return evaluateBatch(database, batch.id, { evaluator, stopping, onEvents: () => undefined });
}

/** What the API would call a request's status. */
export const statusOf = async (database: Database, requestId: string) =>
  (await findRequest(database, NS, requestId))?.status;

/** Each object's label, or why it has none. */
export async function outputs(database: Database): Promise<Record<string, string | null>> {
  const rows = await database.query<{ id: string; label: string | null; error: string | null }>({
    text: `SELECT id, output -> 'labels' ->> 0 AS label, error FROM inlet.outputs ORDER BY id`,
  });
  return Object.fromEntries(rows.map(({ id, label, error }) => [id, label ?? error]));
}

/** What waits to be evaluated. */
export const waitingRows = (database: Database) =>
  database.query({ text: 'SELECT request_id FROM inlet.evaluations' });

/** What was told of to the endpoint, with its label. */
export const events = async (database: Database) =>
  (await deliveryRows(database)).map(({ request_id, object_id, type, output }) => ({
    ...{ request_id, object_id, type },
    label: output === null ? null : (JSON.parse(output) as { labels: string[] }).labels[0],
  }));
