/** Evaluation end to end: an evaluator in a worker, on both queues. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, onTestFinished } from 'vitest';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { OperatorError } from '../../src/errors.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { startWorker } from '../../src/roles/worker.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import {
  checkManyRequests,
  EVALUATING,
  EVALUATOR,
  eventsOf,
  insertPausedEndpoint,
  NS,
  resultsOf,
  waiting,
  write,
} from '../support/evaluated.ts';
import type { InletTest } from '../support/fixtures.ts';
import { describeOnBothQueues, inletTest, startInlet } from '../support/fixtures.ts';
import { importFile } from '../support/imports.ts';
import { keptLog } from '../support/log.ts';
import { waitFor } from '../support/wait-for.ts';
import { deliveryRows } from '../support/webhooks.ts';

const EMPTY = { actions: [], labels: [], fields: {} };

const test = inletTest(
  {
    settings: { evaluator: EVALUATOR, evaluatorTimeout: 600_000 },
    workers: 0,
    prepare: insertPausedEndpoint,
  },
  'postgres',
);

/** A folder for one test. */
async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'inlet-evaluation-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

describeOnBothQueues('evaluation', evaluation, EVALUATING);

function evaluation(test: InletTest): void {
  test.beforeEach(async ({ store: { database } }) => {
    await database.query({ text: 'DELETE FROM inlet.webhook_deliveries' });
  });

  test('shows the output in results, their download and the table', async ({
    inlet,
    store: { database },
  }) => {
    const requestId = await write(inlet, { id: 'a', do: 'partly' }, { id: 'b', do: 'nothing' });
    const data = await resultsOf(inlet, requestId);
    expect(data.map(({ id, output }) => [id, output])).toEqual([
      ['a', { ...EMPTY, labels: ['only'] }],
      ['b', EMPTY],
    ]);
    expect(data.every((result) => !('evaluation_error' in result))).toBe(true);
    const answer = await inlet.fetch(`/v1/data/${NS}/requests/${requestId}/results/download-url`);
    const { data_url } = (await answer.json()) as { data_url: string };
    const lines = (await (await fetch(data_url)).text()).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(data);
    const kept = await database.query({
      text: `SELECT id, revision, output, error FROM inlet.outputs WHERE namespace = $1 AND id IN ('a', 'b') ORDER BY id`,
      values: [NS],
    });
    expect(kept).toEqual([
      { id: 'a', revision: '1', output: { ...EMPTY, labels: ['only'] }, error: null },
      { id: 'b', revision: '1', output: EMPTY, error: null },
    ]);
    expect(await waiting(database)).toEqual([]);
  });

  test('is waited for by the request, while its objects are there already', async ({
    inlet,
    store: { database },
  }) => {
    const file = path.join(await freshFolder(), 'go on');
    const requestId = await write(inlet, { id: 'slow', do: 'until', file });
    await waitFor('the object', () => inlet.object(NS, 'slow'));
    const meanwhile = await inlet.status(NS, requestId);
    expect(meanwhile).toMatchObject({
      status: 'ingesting',
      data: [],
      completed_at: null,
      counts: { objects: 1, stored: 1, failed: 0 },
    });
    expect(await eventsOf(database, requestId)).toEqual([]);
    const list = await inlet.fetch(`/v1/data/${NS}/requests?status=ingesting`);
    expect(await list.json()).toMatchObject({ data: [{ request_id: requestId, completed_at: null }] });
    await writeFile(file, '');
    const done = await inlet.done(NS, requestId);
    expect(done).toMatchObject({ status: 'succeeded', completed_at: expect.any(String) });
    expect(done.data).toMatchObject([{ output: { labels: ['waited'] } }]);
  });

  test('sends the output with the event, and workflow.failed where there is none', async ({
    inlet,
    store: { database },
  }) => {
    const requestId = await write(
      inlet,
      { id: 'good', do: 'partly' },
      { id: 'bad', do: 'throw' },
      { id: 'late', do: 'hang' },
      { id: 'good', do: 'partly', n: 2 },
    );
    const data = await resultsOf(inlet, requestId);
    expect(data).toMatchObject([
      { id: 'good', output: { labels: ['only'] } },
      { id: 'bad', output: EMPTY, evaluation_error: 'TypeError: broken\uFFFD on purpose' },
      { id: 'late', output: EMPTY, evaluation_error: 'timed out after 1.5 s' },
    ]);
    // What they count is storing.
    expect(await inlet.status(NS, requestId)).toMatchObject({
      status: 'succeeded',
      counts: { objects: 4, stored: 4, failed: 0 },
      errors: [],
    });
    const ulid = requestId.slice('req_'.length);
    expect(
      (await eventsOf(database, requestId)).map(({ webhook_id, type, object_id, output, error }) => ({
        ...{ webhook_id, type, object_id, error },
        output: output === null ? null : (JSON.parse(output) as unknown),
      })),
    ).toEqual([
      {
        ...{ webhook_id: `msg_${ulid}_1`, type: 'workflow.failed', object_id: 'bad', output: null },
        error: 'evaluation failed: TypeError: broken\uFFFD on purpose',
      },
      {
        ...{ webhook_id: `msg_${ulid}_2`, type: 'workflow.failed', object_id: 'late', output: null },
        error: 'evaluation failed: timed out after 1.5 s',
      },
      {
        ...{ webhook_id: `msg_${ulid}_3`, type: 'workflow.succeeded', object_id: 'good', error: null },
        output: { ...EMPTY, labels: ['only'] },
      },
    ]);
  });

  test('of a request with objects that could not be stored ends it as failed, with all that could', async ({
    inlet,
    store: { database },
  }) => {
    const requestId = await write(inlet, { id: 'kept', do: 'partly' }, { id: 'refused', refuse: true });
    expect(await inlet.done(NS, requestId)).toMatchObject({
      status: 'failed',
      counts: { objects: 2, stored: 1, failed: 1 },
      data: [{ id: 'kept', output: { labels: ['only'] } }],
      errors: [{ index: 1, id: 'refused' }],
    });
    expect((await eventsOf(database, requestId)).map(({ type, object_id }) => [type, object_id])).toEqual([
      ['workflow.succeeded', 'kept'],
      ['workflow.failed', 'refused'],
    ]);
    const nothing = await write(inlet, { id: 'refused', refuse: true });
    expect((await inlet.done(NS, nothing)).status).toBe('failed');
  });

  test('tells the evaluator the revision, the request and the former version', async ({
    inlet,
    store: { database },
  }) => {
    const id = 'versions';
    const first = await write(inlet, { id, do: 'echo', n: 1 });
    const [before] = await resultsOf(inlet, first);
    expect(before?.output.fields).toEqual({
      ...{ namespace: NS, id, requestId: first, revision: 1, previous: null },
      object: { id, do: 'echo', n: 1 },
    });
    const second = await write(inlet, { id, do: 'echo', n: 2 });
    const [after] = await resultsOf(inlet, second);
    expect(after?.output.fields).toEqual({
      ...{ namespace: NS, id, requestId: second, revision: 2, previous: { id, do: 'echo', n: 1 } },
      object: { id, do: 'echo', n: 2 },
    });
    // The same once more is no new version, and was evaluated.
    const third = await write(inlet, { id, do: 'echo', n: 2 });
    expect((await resultsOf(inlet, third))[0]?.output.fields['requestId']).toBe(second);
    expect(await eventsOf(database, third)).toMatchObject([{ type: 'workflow.succeeded', object_id: id }]);
  });

  test('is not waited for by deletes, which take the output with them', async ({
    inlet,
    store: { database },
  }) => {
    const id = 'deleted';
    await resultsOf(inlet, await write(inlet, { id, do: 'partly' }));
    const answer = await inlet.fetch(`/v1/data/${NS}/objects/${id}`, { method: 'DELETE' });
    const { requestId } = (await answer.json()) as { requestId: string };
    expect(await inlet.done(NS, requestId)).toMatchObject({ status: 'succeeded', data: [{ output: EMPTY }] });
    expect(await eventsOf(database, requestId)).toEqual([]);
    const kept = await database.query({ text: 'SELECT 1 FROM inlet.outputs WHERE id = $1', values: [id] });
    expect(kept).toEqual([]);
    const [again] = await resultsOf(inlet, await write(inlet, { id, do: 'echo' }));
    expect(again?.output.fields).toMatchObject({ revision: 3, previous: null });
  });

  test('of a file goes by its chunks, and the last one ends the import', async ({
    inlet,
    store: { database },
  }) => {
    const lines = Array.from({ length: 2_050 }, (_, i) => JSON.stringify({ id: `line${i}` }));
    lines[7] = 'no JSON';
    lines[2_040] = JSON.stringify({ id: 'line0' });
    lines[2_041] = JSON.stringify({ id: 'line2041', do: 'throw' });
    const requestId = await importFile(inlet, NS, `${lines.join('\n')}\n`);
    const done = await inlet.done(NS, requestId);
    expect(done).toMatchObject({ status: 'failed', counts: { objects: 2_050, stored: 2_049, failed: 1 } });
    const data = await resultsOf(inlet, requestId);
    expect(data).toHaveLength(2_048);
    expect(data.filter(({ evaluation_error }) => evaluation_error !== undefined).map(({ id }) => id)).toEqual(
      ['line2041'],
    );
    const seen = data.filter(({ output }) => output.labels[0] === 'seen');
    expect(seen).toHaveLength(2_047);
    const sent = await eventsOf(database, requestId);
    expect(new Set(sent.map(({ object_id }) => object_id)).size).toBe(2_049);
    expect(sent.filter(({ type }) => type === 'workflow.failed').map(({ error }) => error)).toEqual([
      expect.stringContaining('evaluation failed: TypeError'),
      expect.stringContaining('not valid JSON'),
    ]);
    expect(await waiting(database)).toEqual([]);
  });

  test('is done as well for what never got into the queue', async ({ inlet, store: { database } }) => {
    // As by a worker that died right after the commit a while ago: nobody is told.
    const batch = handMadeBatch(Date.now() * 1_000, [{ namespace: NS, objects: [object('unqueued')] }]);
    await storeBatch(database, batch, { onWaiting: () => undefined });
    await database.query({
      text: `WITH aged AS (UPDATE inlet.evaluations SET created_at = now() - interval '1 minute')
             UPDATE inlet.schedules SET due_at = now(), leased_until = '-infinity' WHERE name = 'evaluations'`,
    });
    await inlet.addWorker();
    const [result] = await resultsOf(inlet, requestIdAt(batch.id, 0));
    expect(result?.output.labels).toEqual(['seen']);
  });

  test('comes to an end for 500 objects in many requests, each evaluated and told of once', async ({
    inlet,
    store: { database },
  }) => {
    await checkManyRequests(inlet, database, 50);
  });
}

describe('an evaluator that is taken out of the settings', () => {
  test('leaves nothing waiting: requests are done without, and told of with an empty output', async ({
    inlet,
    config,
    store: { database },
  }) => {
    const stop = await inlet.addWorker();
    const single = await inlet.write('left', '{"data": [{"id": "a", "do": "hang"}, {"id": "b"}]}');
    const file = await importFile(inlet, 'left', '{"id": "c", "do": "hang"}\n{"id": "d"}\n');
    for (const id of ['a', 'd']) await waitFor(`object ${id}`, () => inlet.object('left', id));
    await stop();
    for (const id of [single, file]) expect((await inlet.status('left', id)).status).toBe('ingesting');

    const without = await startInlet({ ...config, evaluator: undefined });
    // As long as a worker with an evaluator was there a moment ago, it may come back.
    await without.done('left', await without.write('left', '{"data": {"id": "e"}}'));
    expect((await inlet.status('left', single)).status).toBe('ingesting');
    await without.close();
    await database.query({
      text: `WITH aged AS (UPDATE inlet.evaluations SET created_at = now() - interval '2 minutes')
             UPDATE inlet.schedules SET due_at = now() - interval '2 minutes', leased_until = '-infinity'`,
    });
    const later = await startInlet({ ...config, evaluator: undefined });
    for (const id of [single, file]) {
      const { status, data } = await later.done('left', id);
      expect(status).toBe('succeeded');
      expect(data).toMatchObject([{ output: EMPTY }, { output: EMPTY }]);
    }
    const rows = await deliveryRows(database);
    expect(rows.filter(({ request_id }) => request_id === single || request_id === file)).toMatchObject(
      Array(4).fill({ type: 'workflow.succeeded', output: expect.stringContaining('"labels": []') }),
    );
  });
});

describe('inlet worker', () => {
  test('refuses to start with an evaluator that cannot be used, in one line', async ({ config }) => {
    const { log } = keptLog();
    const unusable = { ...config, evaluator: './no-such-file.mjs' };
    const error = await startWorker(unusable, log, undefined).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OperatorError);
    expect((error as Error).message).toMatch(
      /^INLET_EVALUATOR is "\.\/no-such-file\.mjs", which cannot be used as an evaluator: .*Cannot find module[^\n]*$/,
    );
  });
});
