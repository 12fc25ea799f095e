/** A batch's evaluation, without a queue: what is written, also where it is done twice or overtaken meanwhile. */
import { describe, expect } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { HandedBackError } from '../../src/queue/queue.ts';
import type { HandMadeRequest } from '../support/batches.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import {
  evaluationTest,
  events,
  labelled,
  NS,
  outputs,
  Recorder,
  run,
  statusOf,
  stored,
  waitingRows,
} from '../support/evaluation.ts';
import { query } from '../support/postgres.ts';
import { deletion } from '../support/store.ts';
import { deliveryRows } from '../support/webhooks.ts';

const test = evaluationTest();
let clock = 1_000_000;

/** A batch that is accepted later than all before. */
function batchOf(...requests: HandMadeRequest[]): Batch {
  clock += 1_000;
  return handMadeBatch(clock, requests);
}

const one = (...objects: HandMadeRequest['objects']): Batch => batchOf({ namespace: NS, objects });

describe('what is stored', () => {
  test('waits only where there is an evaluator, and something to evaluate', async ({
    store: { database },
  }) => {
    const batch = one(object('a'));
    await storeBatch(database, batch);
    expect(await statusOf(database, requestIdAt(batch.id, 0))).toBe('succeeded');
    expect(await waitingRows(database)).toEqual([]);
    expect(await events(database)).toMatchObject([{ object_id: 'a', type: 'workflow.succeeded' }]);

    expect(await stored(database, one(object('b')))).toBe(true);
    expect(await stored(database, one(['bad', '{"id": "bad", "v": "\\u0000"}']))).toBe(false);
    const removal = one(deletion('b'));
    const [request] = removal.requests;
    if (!request) throw new Error('no request');
    expect(await stored(database, { ...removal, requests: [{ ...request, isDelete: true }] })).toBe(false);
    expect(await waitingRows(database)).toHaveLength(1);
    expect(await statusOf(database, requestIdAt(removal.id, 0))).toBe('succeeded');
  });

  test('does not wait once more where its batch comes a second time', async ({ store: { database } }) => {
    const batch = one(object('a'));
    await stored(database, batch);
    await run(database, batch, new Recorder());
    expect(await stored(database, batch)).toBe(false);
    expect(await statusOf(database, requestIdAt(batch.id, 0))).toBe('succeeded');
    expect(await waitingRows(database)).toEqual([]);
  });
});

describe('the evaluation of a batch', () => {
  test('ends each of its requests, evaluates each object once and tells of it once for each request', async ({
    store: { database },
  }) => {
    const batch = batchOf(
      { namespace: NS, objects: [object('a'), object('b'), object('a', { n: 2 })] },
      { namespace: NS, objects: [object('b', { n: 3 }), object('c')] },
    );
    await stored(database, batch);
    const evaluator = new Recorder();
    const counts = { requests: 2, objects: 4, failed: 0, timedOut: 0 };
    expect(await run(database, batch, evaluator)).toEqual({ ...counts, succeeded: 3, skipped: 1 });
    expect(evaluator.ids.sort()).toEqual(['a', 'b', 'c']);
    expect(await outputs(database)).toEqual({ a: 'r1', b: 'r1', c: 'r1' });
    const [first, second] = [0, 1].map((position) => requestIdAt(batch.id, position));
    const told = { type: 'workflow.succeeded', label: 'r1' };
    expect(await events(database)).toEqual([
      { ...told, request_id: first, object_id: 'b' },
      { ...told, request_id: first, object_id: 'a' },
      { ...told, request_id: second, object_id: 'b' },
      { ...told, request_id: second, object_id: 'c' },
    ]);
    for (const id of [first, second]) expect(await statusOf(database, id ?? '')).toBe('succeeded');
    // Once more there is nothing to do.
    expect(await run(database, batch, evaluator)).toMatchObject({ requests: 0, objects: 0 });
    expect(evaluator.calls).toHaveLength(3);
  });

  test('of which Postgres refuses what came of one object ends all other requests', async ({
    databaseUrl,
    store: { database },
  }) => {
    const batch = batchOf(
      ...['fine1', 'refused', 'fine2'].map((id) => ({
        namespace: NS,
        objects: [object(id), object(`last of ${id}`)],
      })),
    );
    await stored(database, batch);
    await query(databaseUrl, `ALTER TABLE inlet.outputs ADD CONSTRAINT mine CHECK (id <> 'refused')`);
    const evaluator = new Recorder();
    await expect(run(database, batch, evaluator)).rejects.toThrow('mine');
    const statuses = () =>
      Promise.all([0, 1, 2].map((position) => statusOf(database, requestIdAt(batch.id, position))));
    expect(await statuses()).toEqual(['succeeded', 'ingesting', 'succeeded']);
    expect(evaluator.calls).toHaveLength(6);
    expect(await events(database)).toHaveLength(5);
    await query(databaseUrl, 'ALTER TABLE inlet.outputs DROP CONSTRAINT mine');
    expect(await run(database, batch, evaluator)).toMatchObject({ requests: 1, succeeded: 1 });
    expect(await statuses()).toEqual(['succeeded', 'succeeded', 'succeeded']);
    expect(await events(database)).toHaveLength(6);
  });

  test('that broke off goes on where it was, without a second call and a second event', async ({
    store: { database },
  }) => {
    const ids = Array.from({ length: 700 }, (_, i) => `o${String(i).padStart(3, '0')}`);
    const batch = one(...ids.map((id) => object(id)));
    await stored(database, batch);
    const dies = new Recorder(({ id }) => {
      if (id === 'o690') throw new Error('killed');
      return labelled('first');
    });
    await expect(run(database, batch, dies)).rejects.toThrow('killed');
    const kept = Object.keys(await outputs(database)).length;
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThan(690);
    expect(await events(database)).toHaveLength(kept);
    expect(await statusOf(database, requestIdAt(batch.id, 0))).toBe('ingesting');
    const second = new Recorder(() => labelled('second'));
    expect(await run(database, batch, second)).toMatchObject({ succeeded: 700 - kept, skipped: kept });
    expect(new Set(second.ids).size).toBe(700 - kept);
    expect(Object.values(await outputs(database)).filter((label) => label === 'first')).toHaveLength(kept);
    const told = await events(database);
    expect(told).toHaveLength(700);
    expect(told.filter(({ label }) => label === 'first')).toHaveLength(kept);
    expect(await statusOf(database, requestIdAt(batch.id, 0))).toBe('succeeded');
  });

  test('takes an object that was overwritten meanwhile as it is now, and the version with it that was evaluated before', async ({
    store: { database },
  }) => {
    const first = one(object('a', { n: 0 }));
    await stored(database, first);
    await run(database, first, new Recorder());
    const early = one(object('a', { n: 1 }));
    const late = one(object('a', { n: 2 }));
    await stored(database, early);
    await stored(database, late);
    const evaluator = new Recorder();
    await run(database, early, evaluator);
    expect(evaluator.calls).toMatchObject([
      {
        revision: 3,
        requestId: requestIdAt(late.id, 0),
        data: '{"n": 2, "id": "a"}',
        previous: '{"n": 0, "id": "a"}',
      },
    ]);
    expect(await run(database, late, evaluator)).toMatchObject({ succeeded: 0, skipped: 1 });
    expect(evaluator.calls).toHaveLength(1);
    expect((await events(database)).map(({ label }) => label)).toEqual(['r1', 'r3', 'r3']);
  });

  test('never replaces an output of a later revision', async ({ store: { database } }) => {
    const early = one(object('a', { n: 1 }));
    await stored(database, early);
    const late = one(object('a', { n: 2 }));
    const slow = new Recorder(async ({ revision }) => {
      // Overwritten and evaluated while this one is at it.
      await stored(database, late);
      await run(database, late, new Recorder());
      return labelled(`slow r${revision}`);
    });
    await run(database, early, slow);
    expect(slow.calls).toMatchObject([{ revision: 1 }]);
    expect(await outputs(database)).toEqual({ a: 'r2' });
    expect(await events(database)).toMatchObject([{ label: 'r2' }, { label: 'r2' }]);
  });

  test('of an object that was deleted meanwhile succeeds with nothing, and calls nobody', async ({
    store: { database },
  }) => {
    const batch = one(object('a'), object('b'));
    await stored(database, batch);
    await storeBatch(database, one(deletion('a')));
    const evaluator = new Recorder();
    await run(database, batch, evaluator);
    expect(evaluator.ids).toEqual(['b']);
    const ofBatch = (await events(database)).filter(
      ({ request_id }) => request_id === requestIdAt(batch.id, 0),
    );
    expect(ofBatch).toMatchObject([
      { object_id: 'a', type: 'workflow.succeeded', label: undefined },
      { object_id: 'b', type: 'workflow.succeeded', label: 'r1' },
    ]);
  });

  test('of an object that is deleted while it is evaluated keeps nothing', async ({
    store: { database },
  }) => {
    const batch = one(object('a'));
    await stored(database, batch);
    await run(
      database,
      batch,
      new Recorder(async () => {
        await storeBatch(database, one(deletion('a')));
        return labelled('too late');
      }),
    );
    expect(await outputs(database)).toEqual({});
    expect(await statusOf(database, requestIdAt(batch.id, 0))).toBe('succeeded');
  });

  test('keeps why it has failed, and evaluates the next version all the same', async ({
    store: { database },
  }) => {
    const batch = one(object('a'), object('b'));
    await stored(database, batch);
    const failing = new Recorder(({ id }) =>
      id === 'a' ? { outcome: 'failed', error: 'no' } : { outcome: 'timed_out', error: 'late' },
    );
    expect(await run(database, batch, failing)).toMatchObject({
      succeeded: 0,
      failed: 1,
      timedOut: 1,
      skipped: 0,
    });
    expect(await outputs(database)).toEqual({ a: 'no', b: 'late' });
    expect((await deliveryRows(database)).map(({ type, error, output }) => [type, error, output])).toEqual([
      ['workflow.failed', 'evaluation failed: no', null],
      ['workflow.failed', 'evaluation failed: late', null],
    ]);
    expect(await statusOf(database, requestIdAt(batch.id, 0))).toBe('succeeded');
    const next = one(object('a', { n: 2 }));
    await stored(database, next);
    await run(database, next, new Recorder());
    expect(await outputs(database)).toEqual({ a: 'r2', b: 'late' });
  });

  test('is handed back at once where the worker stops, whatever the evaluator is at', async ({
    store: { database },
  }) => {
    const batch = one(object('a'));
    await stored(database, batch);
    const stopping = new AbortController();
    const hanging = new Recorder(() => {
      stopping.abort();
      return new Promise(() => undefined);
    });
    await expect(run(database, batch, hanging, stopping.signal)).rejects.toThrow(HandedBackError);
    await expect(run(database, batch, hanging, stopping.signal)).rejects.toThrow(HandedBackError);
    expect(await statusOf(database, requestIdAt(batch.id, 0))).toBe('ingesting');
  });

  test('reads large objects a few at a time', async ({ store: { database } }) => {
    // However little they take up as they are stored.
    const text = 'x'.repeat(1_000_000);
    const batch = one(...Array.from({ length: 8 }, (_, i) => object(`large${i}`, { text })));
    await stored(database, batch);
    let inHand = 0;
    let most = 0;
    const evaluator = new Recorder(async () => {
      inHand += 1;
      most = Math.max(most, inHand);
      await new Promise((resolve) => setTimeout(resolve, 20));
      inHand -= 1;
      return labelled('large');
    });
    expect(await run(database, batch, evaluator)).toMatchObject({ succeeded: 8 });
    expect(most).toBe(3);
  });

  test('without an evaluator ends the requests and keeps nothing', async ({ store: { database } }) => {
    const batch = one(object('a'));
    await stored(database, batch);
    expect(await run(database, batch, undefined)).toMatchObject({ requests: 1, skipped: 1 });
    expect(await outputs(database)).toEqual({});
    expect(await events(database)).toMatchObject([{ type: 'workflow.succeeded', label: undefined }]);
    expect(await statusOf(database, requestIdAt(batch.id, 0))).toBe('succeeded');
  });
});
