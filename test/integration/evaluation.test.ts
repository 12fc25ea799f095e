/** Evaluation end to end: an evaluator in a worker, on both queues. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database } from '../../src/store/database.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { importFile } from '../support/imports.ts';
import { eventually, TestInlet, testConfig } from '../support/inlet.ts';
import { query } from '../support/postgres.ts';
import { InletProcess, runInlet } from '../support/process.ts';
import { describeOnBothQueues } from '../support/queues.ts';
import type { TestStore } from '../support/store.ts';
import { openTestStore } from '../support/store.ts';
import { deliveryRows, insertEndpointRow } from '../support/webhooks.ts';

const EVALUATOR = 'test/support/evaluator.mjs';
const EMPTY = { actions: [], labels: [], fields: {} };

interface Output {
  readonly actions: unknown[];
  readonly labels: unknown[];
  readonly fields: Record<string, unknown>;
}

interface ResultAnswer {
  readonly id: string;
  readonly output: Output;
  readonly evaluation_error?: string;
}

const NS = 'evaluated';

describeOnBothQueues('evaluation', ({ redisUrl }) => {
  let store: TestStore;
  let database: Database;
  let inlet: TestInlet;

  beforeAll(async () => {
    store = await openTestStore();
    database = store.database;
    await query(store.url, `ALTER TABLE inlet.objects ADD CHECK (NOT data ? 'refuse')`);
    await insertEndpointRow(database, 'ep_1', { namespaces: [NS] });
    const config = testConfig(
      { databaseUrl: store.url, redisUrl },
      { evaluator: EVALUATOR, evaluatorTimeout: 3_000 },
    );
    inlet = await TestInlet.start(config, { workers: 2 });
  });

  beforeEach(async () => {
    await database.query({ text: 'DELETE FROM inlet.webhook_deliveries' });
  });

  afterAll(async () => {
    await inlet?.close();
    await store?.close();
  });

  const write = (...objects: object[]): Promise<string> => inlet.write(NS, JSON.stringify({ data: objects }));
  const results = async (requestId: string): Promise<readonly ResultAnswer[]> =>
    (await inlet.done(NS, requestId)).data as unknown as ResultAnswer[];
  const events = async (requestId: string) =>
    (await deliveryRows(database)).filter(({ request_id }) => request_id === requestId);
  const waiting = () => database.query({ text: 'SELECT 1 FROM inlet.evaluations' });

  it('shows the output in results, their download and the table', async () => {
    const requestId = await write({ id: 'a', do: 'partly' }, { id: 'b', do: 'nothing' });
    const data = await results(requestId);
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
    expect(await waiting()).toEqual([]);
  });

  it('is waited for by the request, while its objects are there already', async () => {
    const requestId = await write({ id: 'slow', do: 'wait', ms: 1_500 });
    await eventually(() => inlet.object(NS, 'slow'));
    const meanwhile = await inlet.status(NS, requestId);
    expect(meanwhile).toMatchObject({
      status: 'ingesting',
      data: [],
      completed_at: null,
      counts: { objects: 1, stored: 1, failed: 0 },
    });
    expect(await events(requestId)).toEqual([]);
    const list = await inlet.fetch(`/v1/data/${NS}/requests?status=ingesting`);
    expect(await list.json()).toMatchObject({ data: [{ request_id: requestId, completed_at: null }] });
    const done = await inlet.done(NS, requestId);
    expect(done).toMatchObject({ status: 'succeeded', completed_at: expect.any(String) });
    expect(done.data).toMatchObject([{ output: { labels: ['waited'] } }]);
  });

  it('sends the output with the event, and workflow.failed where there is none', async () => {
    const requestId = await write(
      { id: 'good', do: 'partly' },
      { id: 'bad', do: 'throw' },
      { id: 'late', do: 'hang' },
      { id: 'good', do: 'partly', n: 2 },
    );
    const data = await results(requestId);
    expect(data).toMatchObject([
      { id: 'good', output: { labels: ['only'] } },
      { id: 'bad', output: EMPTY, evaluation_error: 'TypeError: broken\uFFFD on purpose' },
      { id: 'late', output: EMPTY, evaluation_error: 'timed out after 3 s' },
    ]);
    // What they count is storing.
    expect(await inlet.status(NS, requestId)).toMatchObject({
      status: 'succeeded',
      counts: { objects: 4, stored: 4, failed: 0 },
      errors: [],
    });
    const ulid = requestId.slice('req_'.length);
    expect(
      (await events(requestId)).map(({ webhook_id, type, object_id, output, error }) => ({
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
        error: 'evaluation failed: timed out after 3 s',
      },
      {
        ...{ webhook_id: `msg_${ulid}_3`, type: 'workflow.succeeded', object_id: 'good', error: null },
        output: { ...EMPTY, labels: ['only'] },
      },
    ]);
  });

  it('of a request with objects that could not be stored ends it as failed, with all that could', async () => {
    const requestId = await write({ id: 'kept', do: 'partly' }, { id: 'refused', refuse: true });
    expect(await inlet.done(NS, requestId)).toMatchObject({
      status: 'failed',
      counts: { objects: 2, stored: 1, failed: 1 },
      data: [{ id: 'kept', output: { labels: ['only'] } }],
      errors: [{ index: 1, id: 'refused' }],
    });
    expect((await events(requestId)).map(({ type, object_id }) => [type, object_id])).toEqual([
      ['workflow.succeeded', 'kept'],
      ['workflow.failed', 'refused'],
    ]);
    const nothing = await write({ id: 'refused', refuse: true });
    expect((await inlet.done(NS, nothing)).status).toBe('failed');
  });

  it('tells the evaluator the revision, the request and the former version', async () => {
    const id = 'versions';
    const first = await write({ id, do: 'echo', n: 1 });
    const [before] = await results(first);
    expect(before?.output.fields).toEqual({
      ...{ namespace: NS, id, requestId: first, revision: 1, previous: null },
      object: { id, do: 'echo', n: 1 },
    });
    const second = await write({ id, do: 'echo', n: 2 });
    const [after] = await results(second);
    expect(after?.output.fields).toEqual({
      ...{ namespace: NS, id, requestId: second, revision: 2, previous: { id, do: 'echo', n: 1 } },
      object: { id, do: 'echo', n: 2 },
    });
    // The same once more is no new version, and was evaluated.
    const third = await write({ id, do: 'echo', n: 2 });
    expect((await results(third))[0]?.output.fields['requestId']).toBe(second);
    expect(await events(third)).toMatchObject([{ type: 'workflow.succeeded', object_id: id }]);
  });

  it('is not waited for by deletes, which take the output with them', async () => {
    const id = 'deleted';
    await results(await write({ id, do: 'partly' }));
    const answer = await inlet.fetch(`/v1/data/${NS}/objects/${id}`, { method: 'DELETE' });
    const { requestId } = (await answer.json()) as { requestId: string };
    expect(await inlet.done(NS, requestId)).toMatchObject({ status: 'succeeded', data: [{ output: EMPTY }] });
    expect(await events(requestId)).toEqual([]);
    const kept = await database.query({ text: 'SELECT 1 FROM inlet.outputs WHERE id = $1', values: [id] });
    expect(kept).toEqual([]);
    const [again] = await results(await write({ id, do: 'echo' }));
    expect(again?.output.fields).toMatchObject({ revision: 3, previous: null });
  });

  it('of a file goes by its chunks, and the last one ends the import', async () => {
    const lines = Array.from({ length: 2_500 }, (_, i) => JSON.stringify({ id: `line${i}` }));
    lines[7] = 'no JSON';
    lines[2_400] = JSON.stringify({ id: 'line0' });
    lines[2_401] = JSON.stringify({ id: 'line2401', do: 'throw' });
    const requestId = await importFile(inlet, NS, `${lines.join('\n')}\n`);
    const done = await inlet.done(NS, requestId);
    expect(done).toMatchObject({ status: 'failed', counts: { objects: 2_500, stored: 2_499, failed: 1 } });
    const data = done.data as unknown as ResultAnswer[];
    expect(data).toHaveLength(2_498);
    expect(data.filter(({ evaluation_error }) => evaluation_error !== undefined).map(({ id }) => id)).toEqual(
      ['line2401'],
    );
    const seen = data.filter(({ output }) => output.labels[0] === 'seen');
    expect(seen).toHaveLength(2_497);
    const sent = await events(requestId);
    expect(new Set(sent.map(({ object_id }) => object_id)).size).toBe(2_499);
    expect(sent.filter(({ type }) => type === 'workflow.failed').map(({ error }) => error)).toEqual([
      expect.stringContaining('evaluation failed: TypeError'),
      expect.stringContaining('not valid JSON'),
    ]);
    expect(await waiting()).toEqual([]);
  });

  it('is done as well for what never got into the queue', async () => {
    // As by a worker that died right after the commit: nobody is told.
    const batch = handMadeBatch(Date.now() * 1_000, [{ namespace: NS, objects: [object('unqueued')] }]);
    await storeBatch(database, batch, { onWaiting: () => undefined });
    const [result] = await results(requestIdAt(batch.id, 0));
    expect(result?.output.labels).toEqual(['seen']);
  });

  it('comes to an end for 5,000 objects in many requests, each evaluated and told of once', async () => {
    const requests = await Promise.all(
      Array.from({ length: 500 }, (_, r) =>
        write(...Array.from({ length: 10 }, (__, i) => ({ id: `many-${r}-${i}` }))),
      ),
    );
    // Asking for 500 at a time would be a test of something else.
    const all: ResultAnswer[] = [];
    for (const requestId of requests) all.push(...(await results(requestId)));
    expect(all.filter(({ output }) => output.labels[0] === 'seen')).toHaveLength(5_000);
    expect(all.every(({ output }) => output.fields['calls'] === 1)).toBe(true);
    const rows = await deliveryRows(database);
    expect(rows).toHaveLength(5_000);
    expect(rows.every(({ type }) => type === 'workflow.succeeded')).toBe(true);
    expect(await waiting()).toEqual([]);
  }, 120_000);
});

describeOnBothQueues('a worker with an evaluator', ({ redisUrl }) => {
  let store: TestStore;
  const processes: InletProcess[] = [];

  beforeAll(async () => {
    store = await openTestStore();
    await insertEndpointRow(store.database, 'ep_1');
  });

  afterAll(async () => {
    for (const process of processes) await process.close();
    await store?.close();
  });

  it('that is killed in the middle leaves nothing behind that is not evaluated', async () => {
    const config = testConfig({ databaseUrl: store.url, redisUrl });
    const api = await TestInlet.start(config, { workers: 0 });
    const startProcess = (): InletProcess => {
      const worker = new InletProcess(['worker'], {
        ...{ DATABASE_URL: store.url, INLET_REDIS_PREFIX: config.redisPrefix, INLET_WORKER_PORT: '0' },
        ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
        ...{ INLET_EVALUATOR: EVALUATOR, INLET_EVALUATOR_CONCURRENCY: '4' },
      });
      processes.push(worker);
      return worker;
    };
    const first = startProcess();
    const objects = Array.from({ length: 300 }, (_, i) => ({ id: `k${i}`, do: 'wait', ms: 50 }));
    const requests = [
      await api.write('killed', JSON.stringify({ data: objects.slice(0, 200) })),
      ...(await Promise.all(
        objects.slice(200).map((object) => api.write('killed', JSON.stringify({ data: object }))),
      )),
    ];
    const evaluated = async (): Promise<number> =>
      (await store.database.query({ text: 'SELECT 1 FROM inlet.outputs' })).length;
    await eventually(async () => ((await evaluated()) > 30 ? true : undefined));
    await first.kill('SIGKILL');
    const before = await evaluated();
    expect(before).toBeLessThan(300);
    startProcess();
    await Promise.all(
      requests.map((requestId) =>
        eventually(async () => {
          const { status } = await api.status('killed', requestId);
          return status === 'succeeded' ? status : undefined;
        }, 60_000),
      ),
    );
    expect(await evaluated()).toBe(300);
    const rows = await deliveryRows(store.database);
    expect(new Set(rows.map(({ object_id }) => object_id)).size).toBe(300);
    expect(rows).toHaveLength(300);
    expect(rows.every(({ output }) => output?.includes('waited'))).toBe(true);
    await api.close();
  }, 120_000);
});

describe('an evaluator that is taken out of the settings', () => {
  it('leaves nothing waiting: requests are done without, and told of with an empty output', async () => {
    const store = await openTestStore();
    await insertEndpointRow(store.database, 'ep_1');
    const config = testConfig(
      { databaseUrl: store.url },
      { evaluator: EVALUATOR, evaluatorTimeout: 600_000 },
    );
    const inlet = await TestInlet.start(config, { workers: 0 });
    const stop = await inlet.addWorker();
    const single = await inlet.write('left', '{"data": [{"id": "a", "do": "hang"}, {"id": "b"}]}');
    const file = await importFile(inlet, 'left', '{"id": "c", "do": "hang"}\n{"id": "d"}\n');
    await eventually(() => inlet.object('left', 'a'));
    await eventually(() => inlet.object('left', 'd'));
    await stop();
    for (const id of [single, file]) expect((await inlet.status('left', id)).status).toBe('ingesting');

    const without = await TestInlet.start({ ...config, evaluator: undefined }, { workers: 1 });
    // As long as a worker with an evaluator was there a moment ago, it may come back.
    await without.done('left', await without.write('left', '{"data": {"id": "e"}}'));
    expect((await inlet.status('left', single)).status).toBe('ingesting');
    await without.close();
    await store.database.query({
      text: `WITH aged AS (UPDATE inlet.evaluations SET created_at = now() - interval '2 minutes')
             UPDATE inlet.schedules SET due_at = now() - interval '2 minutes', leased_until = '-infinity'`,
    });
    const later = await TestInlet.start({ ...config, evaluator: undefined }, { workers: 1 });
    for (const id of [single, file]) {
      const { status, data } = await later.done('left', id);
      expect(status).toBe('succeeded');
      expect(data).toMatchObject([{ output: EMPTY }, { output: EMPTY }]);
    }
    const rows = await deliveryRows(store.database);
    expect(rows.filter(({ request_id }) => request_id === single || request_id === file)).toMatchObject(
      Array(4).fill({ type: 'workflow.succeeded', output: expect.stringContaining('"labels": []') }),
    );
    await later.close();
    await inlet.close();
    await store.close();
  }, 60_000);
});

describe('inlet worker', () => {
  it('refuses to start with an evaluator that cannot be used, in one line', async () => {
    const store = await openTestStore();
    const { code, stderr } = await runInlet(['worker'], {
      ...{ DATABASE_URL: store.url, INLET_WORKER_PORT: '0', INLET_EVALUATOR: './no-such-file.mjs' },
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^inlet: INLET_EVALUATOR is "\.\/no-such-file\.mjs", which cannot be used as an evaluator: .*Cannot find module[^\n]*\n$/,
    );
    await store.close();
  });
});
