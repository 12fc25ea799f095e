/** A batch's evaluation, without a queue: what is written, also where it is done twice or overtaken meanwhile. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import { requestIdAt } from '../../src/domain/request-id.ts';
import type { ObjectEvaluator } from '../../src/evaluation/evaluate-batch.ts';
import { evaluateBatch } from '../../src/evaluation/evaluate-batch.ts';
import type { Evaluation } from '../../src/evaluation/evaluator.ts';
import type { EvaluationInput } from '../../src/evaluation/thread-messages.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { HandedBackError } from '../../src/queue/queue.ts';
import type { Database } from '../../src/store/database.ts';
import { beginUpload, completeUpload, createImport, releaseUpload } from '../../src/store/imports.ts';
import { findRequest } from '../../src/store/requests.ts';
import type { HandMadeRequest } from '../support/batches.ts';
import { handMadeBatch, newBatchId, object } from '../support/batches.ts';
import { deletion, openTestStore } from '../support/store.ts';
import { deliveryRows, insertEndpointRow } from '../support/webhooks.ts';

const NS = 'pages';
const NEVER = new AbortController().signal;

let database: Database;
let drop: () => Promise<void>;
let clock = 1_000_000;

beforeAll(async () => {
  const store = await openTestStore();
  drop = store.close;
  database = store.database;
  await insertEndpointRow(database, 'ep_1');
});

afterAll(async () => {
  await drop?.();
});

beforeEach(async () => {
  for (const table of ['webhook_deliveries', 'outputs', 'objects', 'evaluations', 'requests', 'revisions']) {
    await database.query({ text: `DELETE FROM inlet.${table}` });
  }
});

/** Stores a batch that is to be evaluated, accepted later than all before. @returns whether it waits */
async function stored(batch: Batch): Promise<boolean> {
  let waits = false;
  await storeBatch(database, batch, {
    onWaiting: (batchId) => {
      waits = batchId === batch.id;
    },
  });
  return waits;
}

function batchOf(...requests: HandMadeRequest[]): Batch {
  clock += 1_000;
  return handMadeBatch(clock, requests);
}

const one = (...objects: HandMadeRequest['objects']): Batch => batchOf({ namespace: NS, objects });

/** Labels each object with its revision, unless told otherwise. */
class Recorder implements ObjectEvaluator {
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

function labelled(label: string): Evaluation {
  return { outcome: 'succeeded', output: JSON.stringify({ actions: [], labels: [label], fields: {} }) };
}

function run(batch: Batch, evaluator: ObjectEvaluator | undefined, stopping = NEVER) {
  return evaluateBatch(database, batch.id, { evaluator, stopping, onEvents: () => undefined });
}

const statusOf = async (requestId: string) => (await findRequest(database, NS, requestId))?.status;

async function outputs(): Promise<Record<string, string | null>> {
  const rows = await database.query<{ id: string; label: string | null; error: string | null }>({
    text: `SELECT id, output -> 'labels' ->> 0 AS label, error FROM inlet.outputs ORDER BY id`,
  });
  return Object.fromEntries(rows.map(({ id, label, error }) => [id, label ?? error]));
}

const waitingRows = () => database.query({ text: 'SELECT request_id FROM inlet.evaluations' });
const events = async () =>
  (await deliveryRows(database)).map(({ request_id, object_id, type, output }) => ({
    ...{ request_id, object_id, type },
    label: output === null ? null : (JSON.parse(output) as { labels: string[] }).labels[0],
  }));

describe('what is stored', () => {
  it('waits only where there is an evaluator, and something to evaluate', async () => {
    const batch = one(object('a'));
    await storeBatch(database, batch);
    expect(await statusOf(requestIdAt(batch.id, 0))).toBe('succeeded');
    expect(await waitingRows()).toEqual([]);
    expect(await events()).toMatchObject([{ object_id: 'a', type: 'workflow.succeeded' }]);

    expect(await stored(one(object('b')))).toBe(true);
    expect(await stored(one(['bad', '{"id": "bad", "v": "\\u0000"}']))).toBe(false);
    const removal = one(deletion('b'));
    const [request] = removal.requests;
    if (!request) throw new Error('no request');
    expect(await stored({ ...removal, requests: [{ ...request, isDelete: true }] })).toBe(false);
    expect(await waitingRows()).toHaveLength(1);
    expect(await statusOf(requestIdAt(removal.id, 0))).toBe('succeeded');
  });

  it('does not wait once more where its batch comes a second time', async () => {
    const batch = one(object('a'));
    await stored(batch);
    await run(batch, new Recorder());
    expect(await stored(batch)).toBe(false);
    expect(await statusOf(requestIdAt(batch.id, 0))).toBe('succeeded');
    expect(await waitingRows()).toEqual([]);
  });
});

describe('the evaluation of a batch', () => {
  it('ends each of its requests, evaluates each object once and tells of it once for each request', async () => {
    const batch = batchOf(
      { namespace: NS, objects: [object('a'), object('b'), object('a', { n: 2 })] },
      { namespace: NS, objects: [object('b', { n: 3 }), object('c')] },
    );
    await stored(batch);
    const evaluator = new Recorder();
    const counts = { requests: 2, objects: 4, failed: 0, timedOut: 0 };
    expect(await run(batch, evaluator)).toEqual({ ...counts, succeeded: 3, skipped: 1 });
    expect(evaluator.ids.sort()).toEqual(['a', 'b', 'c']);
    expect(await outputs()).toEqual({ a: 'r1', b: 'r1', c: 'r1' });
    const [first, second] = [0, 1].map((position) => requestIdAt(batch.id, position));
    const told = { type: 'workflow.succeeded', label: 'r1' };
    expect(await events()).toEqual([
      { ...told, request_id: first, object_id: 'b' },
      { ...told, request_id: first, object_id: 'a' },
      { ...told, request_id: second, object_id: 'b' },
      { ...told, request_id: second, object_id: 'c' },
    ]);
    for (const id of [first, second]) expect(await statusOf(id ?? '')).toBe('succeeded');
    // Once more there is nothing to do.
    expect(await run(batch, evaluator)).toMatchObject({ requests: 0, objects: 0 });
    expect(evaluator.calls).toHaveLength(3);
  });

  it('that broke off goes on where it was, without a second call and a second event', async () => {
    const ids = Array.from({ length: 100 }, (_, i) => `o${String(i).padStart(2, '0')}`);
    const batch = one(...ids.map((id) => object(id)));
    await stored(batch);
    const dies = new Recorder(({ id }) => {
      if (id === 'o90') throw new Error('killed');
      return labelled('first');
    });
    await expect(run(batch, dies)).rejects.toThrow('killed');
    const kept = Object.keys(await outputs()).length;
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThan(90);
    expect(await events()).toHaveLength(kept);
    expect(await statusOf(requestIdAt(batch.id, 0))).toBe('ingesting');
    const second = new Recorder(() => labelled('second'));
    expect(await run(batch, second)).toMatchObject({ succeeded: 100 - kept, skipped: kept });
    expect(new Set(second.ids).size).toBe(100 - kept);
    expect(Object.values(await outputs()).filter((label) => label === 'first')).toHaveLength(kept);
    const told = await events();
    expect(told).toHaveLength(100);
    expect(told.filter(({ label }) => label === 'first')).toHaveLength(kept);
    expect(await statusOf(requestIdAt(batch.id, 0))).toBe('succeeded');
  });

  it('takes an object that was overwritten meanwhile as it is now, and the version with it that was evaluated before', async () => {
    const first = one(object('a', { n: 0 }));
    await stored(first);
    await run(first, new Recorder());
    const early = one(object('a', { n: 1 }));
    const late = one(object('a', { n: 2 }));
    await stored(early);
    await stored(late);
    const evaluator = new Recorder();
    await run(early, evaluator);
    expect(evaluator.calls).toMatchObject([
      {
        revision: 3,
        requestId: requestIdAt(late.id, 0),
        data: '{"n": 2, "id": "a"}',
        previous: '{"n": 0, "id": "a"}',
      },
    ]);
    expect(await run(late, evaluator)).toMatchObject({ succeeded: 0, skipped: 1 });
    expect(evaluator.calls).toHaveLength(1);
    expect((await events()).map(({ label }) => label)).toEqual(['r1', 'r3', 'r3']);
  });

  it('never replaces an output of a later revision', async () => {
    const early = one(object('a', { n: 1 }));
    await stored(early);
    const late = one(object('a', { n: 2 }));
    const slow = new Recorder(async ({ revision }) => {
      // Overwritten and evaluated while this one is at it.
      await stored(late);
      await run(late, new Recorder());
      return labelled(`slow r${revision}`);
    });
    await run(early, slow);
    expect(slow.calls).toMatchObject([{ revision: 1 }]);
    expect(await outputs()).toEqual({ a: 'r2' });
    expect(await events()).toMatchObject([{ label: 'r2' }, { label: 'r2' }]);
  });

  it('of an object that was deleted meanwhile succeeds with nothing, and calls nobody', async () => {
    const batch = one(object('a'), object('b'));
    await stored(batch);
    await storeBatch(database, one(deletion('a')));
    const evaluator = new Recorder();
    await run(batch, evaluator);
    expect(evaluator.ids).toEqual(['b']);
    const ofBatch = (await events()).filter(({ request_id }) => request_id === requestIdAt(batch.id, 0));
    expect(ofBatch).toMatchObject([
      { object_id: 'a', type: 'workflow.succeeded', label: undefined },
      { object_id: 'b', type: 'workflow.succeeded', label: 'r1' },
    ]);
  });

  it('of an object that is deleted while it is evaluated keeps nothing', async () => {
    const batch = one(object('a'));
    await stored(batch);
    await run(
      batch,
      new Recorder(async () => {
        await storeBatch(database, one(deletion('a')));
        return labelled('too late');
      }),
    );
    expect(await outputs()).toEqual({});
    expect(await statusOf(requestIdAt(batch.id, 0))).toBe('succeeded');
  });

  it('keeps why it has failed, and evaluates the next version all the same', async () => {
    const batch = one(object('a'), object('b'));
    await stored(batch);
    const failing = new Recorder(({ id }) =>
      id === 'a' ? { outcome: 'failed', error: 'no' } : { outcome: 'timed_out', error: 'late' },
    );
    expect(await run(batch, failing)).toMatchObject({ succeeded: 0, failed: 1, timedOut: 1, skipped: 0 });
    expect(await outputs()).toEqual({ a: 'no', b: 'late' });
    expect((await deliveryRows(database)).map(({ type, error, output }) => [type, error, output])).toEqual([
      ['workflow.failed', 'evaluation failed: no', null],
      ['workflow.failed', 'evaluation failed: late', null],
    ]);
    expect(await statusOf(requestIdAt(batch.id, 0))).toBe('succeeded');
    const next = one(object('a', { n: 2 }));
    await stored(next);
    await run(next, new Recorder());
    expect(await outputs()).toEqual({ a: 'r2', b: 'late' });
  });

  it('is handed back at once where the worker stops, whatever the evaluator is at', async () => {
    const batch = one(object('a'));
    await stored(batch);
    const stopping = new AbortController();
    const hanging = new Recorder(() => {
      stopping.abort();
      return new Promise(() => undefined);
    });
    await expect(run(batch, hanging, stopping.signal)).rejects.toThrow(HandedBackError);
    await expect(run(batch, hanging, stopping.signal)).rejects.toThrow(HandedBackError);
    expect(await statusOf(requestIdAt(batch.id, 0))).toBe('ingesting');
  });

  it('reads large objects a few at a time', async () => {
    const text = Array.from({ length: 400 }, () => Math.random().toString(36))
      .join('')
      .repeat(400);
    const batch = one(...Array.from({ length: 8 }, (_, i) => object(`large${i}`, { text: `${i}${text}` })));
    await stored(batch);
    // With lz4 or without, such a text takes up much less than it is long: still no page may hold all of them.
    await database.query({ text: 'ALTER TABLE inlet.objects ALTER COLUMN data SET STORAGE EXTERNAL' });
    await database.query({ text: `UPDATE inlet.objects SET data = data || '{"x": 1}'` });
    let inHand = 0;
    let most = 0;
    const evaluator = new Recorder(async () => {
      inHand += 1;
      most = Math.max(most, inHand);
      await new Promise((resolve) => setTimeout(resolve, 20));
      inHand -= 1;
      return labelled('large');
    });
    expect(await run(batch, evaluator)).toMatchObject({ succeeded: 8 });
    expect(most).toBeLessThan(4);
  });

  it('without an evaluator ends the requests and keeps nothing', async () => {
    const batch = one(object('a'));
    await stored(batch);
    expect(await run(batch, undefined)).toMatchObject({ requests: 1, skipped: 1 });
    expect(await outputs()).toEqual({});
    expect(await events()).toMatchObject([{ type: 'workflow.succeeded', label: undefined }]);
    expect(await statusOf(requestIdAt(batch.id, 0))).toBe('succeeded');
  });
});

describe('an import', () => {
  let requestId: string;

  beforeEach(async () => {
    requestId = requestIdAt(newBatchId(), 0);
    await createImport(database, { requestId, namespace: NS, expiresAt: Date.now() * 1_000 });
  });

  async function begin(): Promise<number> {
    const beginning = await beginUpload(database, requestId, async () => 5_000_000);
    if (beginning.state !== 'begun') throw new Error(beginning.state);
    return beginning.upload;
  }

  function chunkOf(upload: number, chunk: number, ...objects: HandMadeRequest['objects']): Batch {
    const batch = handMadeBatch(5_000_000 + chunk, [{ namespace: NS, objects }]);
    const lines = objects.map((_, i) => 100 * chunk + i + 1);
    const part = { requestId, upload, chunk, lines, rejected: [] };
    return { ...batch, requests: batch.requests.map((request) => ({ ...request, import: part })) };
  }

  it('is done when all chunks are in and evaluated, whatever comes last, in every race', async () => {
    for (let round = 0; round < 10; round += 1) {
      requestId = requestIdAt(newBatchId(), 0);
      await createImport(database, { requestId, namespace: NS, expiresAt: 0 });
      const upload = await begin();
      const chunks = [0, 1, 2, 3].map((chunk) => chunkOf(upload, chunk, object(`r${round}-${chunk}`)));
      await Promise.all([
        ...chunks.map(async (batch) => {
          await stored(batch);
          await run(batch, new Recorder());
        }),
        completeUpload(database, requestId, upload, chunks.length, 4),
      ]);
      expect(await statusOf(requestId)).toBe('succeeded');
    }
  });

  it('is not done before the last of its chunks is evaluated', async () => {
    const upload = await begin();
    const chunks = [chunkOf(upload, 0, object('a')), chunkOf(upload, 1, object('b'), object('a'))];
    for (const batch of chunks) expect(await stored(batch)).toBe(true);
    await completeUpload(database, requestId, upload, 2, 3);
    // Its job again, as after the death of a worker.
    await stored(chunks[1] as Batch);
    expect(await statusOf(requestId)).toBe('ingesting');
    await run(chunks[1] as Batch, new Recorder());
    expect(await statusOf(requestId)).toBe('ingesting');
    await run(chunks[0] as Batch, new Recorder());
    expect(await statusOf(requestId)).toBe('succeeded');
    const rows = await database.query<{ object_id: string; at: string }>({
      text: `SELECT object_id, (extract(epoch FROM accepted_at) * 1000000)::bigint::text AS at
             FROM inlet.webhook_deliveries WHERE request_id = $1 ORDER BY at, object_id`,
      values: [requestId],
    });
    expect(rows.map(({ object_id, at }) => [object_id, at])).toEqual([
      ['a', '5000000'],
      ['a', '5000001'],
      ['b', '5000001'],
    ]);
  });

  it('whose file is sent again waits for nothing of the first time, and tells of all in the second', async () => {
    const first = await begin();
    const old = chunkOf(first, 0, object('old'));
    await stored(old);
    await run(old, new Recorder());
    const lost = chunkOf(first, 1, object('lost'));
    await stored(lost);
    await releaseUpload(database, requestId, first);
    const second = await begin();
    const next = chunkOf(second, 0, object('new'));
    await stored(next);
    await completeUpload(database, requestId, second, 1, 1);
    expect(await run(lost, new Recorder())).toMatchObject({ requests: 0 });
    expect(await statusOf(requestId)).toBe('ingesting');
    await run(next, new Recorder());
    expect(await statusOf(requestId)).toBe('succeeded');
    expect((await events()).map(({ object_id }) => object_id).sort()).toEqual(['new', 'old']);
    expect(await waitingRows()).toEqual([]);
  });
});
