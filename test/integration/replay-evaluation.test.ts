/** Replayed objects are evaluated, and told of once. */
import { describe, expect } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { evaluateBatch } from '../../src/evaluation/evaluate-batch.ts';
import type { EvaluationInput } from '../../src/evaluation/thread-messages.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database } from '../../src/store/database.ts';
import { longestWaiting } from '../../src/store/evaluations.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { inletTest } from '../support/fixtures.ts';
import { prepareRefusals, refuse } from '../support/refusals.ts';
import { bad, namespaceOn } from '../support/replays.ts';

const test = inletTest({ prepare: prepareRefusals }).extend('mine', async ({ store: { database }, task }) =>
  namespaceOn(database, `replays-${task.id}`),
);

test.beforeEach(({ databaseUrl }) => refuse(databaseUrl, 'now'));

test('what is replayed is evaluated, and told of with what came of that; its request does not wait', async ({
  databaseUrl,
  store: { database },
  mine: { namespace, rows, replayJob, requestRows },
}) => {
  await database.query({
    text: `INSERT INTO inlet.webhook_endpoints (endpoint_id, url, namespaces, events)
           VALUES ($1, 'https://example.com', ARRAY[$2], '{workflow.succeeded}')`,
    values: [`ep_${namespace}`, namespace],
  });
  await storeBatch(
    database,
    handMadeBatch(1_000_000, [{ namespace, objects: [bad('a'), bad('b'), bad('a', { v: 2 })] }]),
  );
  await storeBatch(database, handMadeBatch(2_000_000, [{ namespace, objects: [bad('c')] }]));
  await refuse(databaseUrl);
  const woken: string[] = [];
  const job = await replayJob();
  await storeBatch(database, job, { onWaiting: (id) => woken.push(id) });
  expect(woken).toEqual([job.id]);
  expect(await requestRows()).toMatchObject([{ status: 'succeeded' }, { status: 'succeeded' }]);
  expect(await longestWaiting(database, -1_000, 10)).toContain(job.id);
  expect(await rows('SELECT type FROM inlet.webhook_deliveries WHERE namespace = $1')).toEqual([]);

  const evaluated: string[] = [];
  const evaluator = {
    concurrency: 2,
    evaluate: async ({ id }: EvaluationInput) => {
      evaluated.push(id);
      const output = JSON.stringify({ actions: [], labels: [id], fields: {} });
      return { outcome: 'succeeded' as const, output };
    },
  };
  const options = { evaluator, stopping: new AbortController().signal, onEvents: () => undefined };
  expect(await evaluateBatch(database, job.id, options)).toMatchObject({ objects: 3, succeeded: 3 });
  expect(await evaluateBatch(database, job.id, options)).toMatchObject({ requests: 0 });
  expect(evaluated.sort()).toEqual(['a', 'b', 'c']);
  const told = await rows(
    `SELECT object_id, type, output -> 'labels' ->> 0 AS label, extract(epoch FROM accepted_at)::int AS accepted
     FROM inlet.webhook_deliveries WHERE namespace = $1 ORDER BY object_id`,
  );
  expect(told).toEqual([
    { object_id: 'a', type: 'workflow.succeeded', label: 'a', accepted: 1 },
    { object_id: 'b', type: 'workflow.succeeded', label: 'b', accepted: 1 },
    { object_id: 'c', type: 'workflow.succeeded', label: 'c', accepted: 2 },
  ]);
});

describe('what is replayed while its request waits to be evaluated', () => {
  /** A batch with one object that can be stored and one that can't, as a request or as a chunk of a file. */
  async function halfStored(database: Database, namespace: string, isImport: boolean): Promise<Batch> {
    const plain = handMadeBatch(1_000_000, [{ namespace, objects: [object('a'), bad('b')] }]);
    const requestId = requestIdAt(plain.id, 0);
    const [request] = plain.requests;
    if (!request) throw new Error('no request');
    if (!isImport) return plain;
    await database.query({
      text: `WITH import AS (INSERT INTO inlet.imports (request_id, expires_at, upload) VALUES ($1, now(), 1))
             INSERT INTO inlet.requests (request_id, namespace, status, accepted_at, completed_at, objects)
             VALUES ($1, $2, 'ingesting', 'epoch'::timestamptz + interval '1 second', NULL, 0)`,
      values: [requestId, namespace],
    });
    const chunk = { requestId, upload: 1, chunk: 0, lines: [1, 2], rejected: [] };
    return { ...plain, requests: [{ ...request, import: chunk }] };
  }

  test.for([
    { name: 'a request', isImport: false, replayFirst: false },
    { name: 'a request, and is evaluated before it', isImport: false, replayFirst: true },
    { name: 'a chunk of a file', isImport: true, replayFirst: false },
    { name: 'a chunk of a file, and is evaluated before it', isImport: true, replayFirst: true },
  ])(
    'is told of once: $name',
    async ({ isImport, replayFirst }, { databaseUrl, store: { database }, mine }) => {
      const { namespace, rows, replayJob } = mine;
      await database.query({
        text: `INSERT INTO inlet.webhook_endpoints (endpoint_id, url, namespaces, events)
             VALUES ($1, 'https://example.com', ARRAY[$2], '{workflow.succeeded}')`,
        values: [`ep_${namespace}`, namespace],
      });
      const observer = { onWaiting: () => undefined };
      const batch = await halfStored(database, namespace, isImport);
      await storeBatch(database, batch, observer);
      await refuse(databaseUrl);
      const job = await replayJob();
      expect(await storeBatch(database, job, observer)).toMatchObject({ stored: 1 });
      const evaluator = {
        concurrency: 2,
        evaluate: async () => ({ outcome: 'succeeded' as const, output: '{}' }),
      };
      const options = { evaluator, stopping: new AbortController().signal, onEvents: () => undefined };
      for (const { id } of replayFirst ? [job, batch] : [batch, job])
        await evaluateBatch(database, id, options);
      const told = await rows(
        `SELECT object_id, webhook_id LIKE '%\\_r%' AS replayed FROM inlet.webhook_deliveries
       WHERE namespace = $1 ORDER BY object_id`,
      );
      expect(told).toEqual([
        { object_id: 'a', replayed: false },
        { object_id: 'b', replayed: true },
      ]);
      expect(
        await rows(
          'SELECT id FROM inlet.objects JOIN inlet.outputs USING (namespace, id) WHERE namespace = $1',
        ),
      ).toHaveLength(2);
    },
  );
});
