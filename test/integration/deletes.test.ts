/** Deletes are in order with writes, whatever order they are stored in, and leave a tombstone. */
import { describe, expect } from 'vitest';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Queryable } from '../../src/store/database.ts';
import { findObject } from '../../src/store/objects.ts';
import { hasOutputs, keepOutputs } from '../../src/store/outputs.ts';
import { listRevisions } from '../../src/store/revisions.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { describeOnBothQueues, inletTest } from '../support/fixtures.ts';
import type { ProblemAnswer, TestInlet } from '../support/inlet.ts';
import { deletion, lockWaits } from '../support/store.ts';

const test = inletTest();

describe('batches with deletes', () => {
  const batch = (namespace: string, at: number, ...objects: (readonly [string, string])[]) =>
    handMadeBatch(at, [{ namespace, objects }]);

  /** What is stored: the object's `n` and revision; undefined where it is deleted or was never there. */
  async function stored(database: Queryable, namespace: string, id: string) {
    const found = await findObject(database, namespace, id);
    return found && { n: (JSON.parse(found.data) as { n: number }).n, revision: found.revision };
  }

  test.for([
    ['in their order', false],
    ['the other way round', true],
  ] as const)(
    'a write and a later delete, stored %s, end deleted',
    async ([name, isReversed], { store: { database } }) => {
      const write = batch(name, 1_000_001, object('x', { n: 1 }));
      const remove = batch(name, 1_000_002, deletion('x'));
      for (const one of isReversed ? [remove, write] : [write, remove]) await storeBatch(database, one);
      expect(await stored(database, name, 'x')).toBeUndefined();
    },
  );

  test.for([
    ['delete first', false],
    ['write first', true],
  ] as const)(
    'a delete and a later write, stored %s, end written',
    async ([name, isReversed], { store: { database } }) => {
      const remove = batch(name, 1_000_001, deletion('x'));
      const write = batch(name, 1_000_002, object('x', { n: 1 }));
      for (const one of isReversed ? [write, remove] : [remove, write]) await storeBatch(database, one);
      expect(await stored(database, name, 'x')).toMatchObject({ n: 1 });
    },
  );

  test('in one batch the later of a write and a delete counts, in one request and over several', async ({
    store: { database },
  }) => {
    await storeBatch(
      database,
      handMadeBatch(1_000_000, [
        { namespace: 'one', objects: [object('a'), deletion('a'), deletion('b'), object('b', { n: 1 })] },
        { namespace: 'one', objects: [object('c'), deletion('d')] },
        { namespace: 'one', objects: [deletion('c'), object('d', { n: 2 })] },
      ]),
    );
    expect(await stored(database, 'one', 'a')).toBeUndefined();
    expect(await stored(database, 'one', 'b')).toEqual({ n: 1, revision: 1 });
    expect(await stored(database, 'one', 'c')).toBeUndefined();
    expect(await stored(database, 'one', 'd')).toEqual({ n: 2, revision: 1 });
  });

  test('a later write revives with the revision counted on, and a second delete makes no revision', async ({
    store: { database },
  }) => {
    await storeBatch(database, batch('revive', 1, object('x', { n: 1 })));
    await storeBatch(database, batch('revive', 2, deletion('x')));
    await storeBatch(database, batch('revive', 4, deletion('x')));
    // Older than the second delete, which made no revision but has its place in the order.
    await storeBatch(database, batch('revive', 3, object('x', { n: 3 })));
    expect(await stored(database, 'revive', 'x')).toBeUndefined();
    await storeBatch(database, batch('revive', 5, object('x', { n: 5 })));
    expect(await stored(database, 'revive', 'x')).toEqual({ n: 5, revision: 3 });
    const page = await listRevisions(database, 'revive', 'x', undefined, 10);
    expect(page?.items.map(({ revision, data }) => [revision, data])).toEqual([
      [3, '{"n": 5, "id": "x"}'],
      [2, null],
      [1, '{"n": 1, "id": "x"}'],
    ]);
  });

  test('ids of any kind can be deleted, also where a neighbour is refused', async ({
    store: { database },
  }) => {
    const ids = ['"', '\\', ',', '{}', '[1,2]', 'null', '', '😀', '\u2028', '\u0001', 'a'.repeat(512)];
    const writes = ids.filter((id) => id !== '').map((id) => object(id, { n: 1 }));
    await storeBatch(database, batch('any', 1, ...writes));
    const deletes = ids.filter((id) => id !== '').map((id) => deletion(id));
    const bad = ['bad', '{"id": "bad", "v": "\\u0000"}'] as const;
    const outcome = await storeBatch(database, batch('any', 2, bad, ...deletes, object('good', { n: 1 })));
    expect(outcome.failed).toBe(1);
    for (const id of ids) expect(await stored(database, 'any', id), id).toBeUndefined();
    expect(await stored(database, 'any', 'good')).toBeDefined();
  });

  test('take outputs along in the order in which evaluations keep them, so that neither waits in a circle', async ({
    store: { database },
  }) => {
    const ids = ['b', 'a'];
    const writes = ids.map((id) => object(id));
    await storeBatch(database, batch('outputs', 1, ...writes));
    for (const id of ids) {
      await keepOutputs(database, [{ namespace: 'outputs', id, revision: 1, output: '{}', error: null }]);
    }
    const deletes = ids.map((id) => ({ namespace: 'outputs', objects: [deletion(id)] }));
    const lock = (on: Queryable, id: string) =>
      on.query({
        text: `SELECT FROM inlet.outputs WHERE namespace = 'outputs' AND id = $1 FOR UPDATE SKIP LOCKED`,
        values: [id],
      });
    let deleted: Promise<unknown> | undefined;
    await database.transaction(async (transaction) => {
      await lock(transaction, 'a');
      deleted = storeBatch(database, handMadeBatch(2, deletes), { onWaiting: () => undefined });
      await lockWaits(database, 1);
      expect(await lock(transaction, 'b')).toHaveLength(1);
    });
    await deleted;
    expect(await hasOutputs(database)).toBe(false);
  });
});

async function remove(
  inlet: TestInlet,
  namespace: string,
  id: string,
  init: RequestInit = {},
): Promise<string> {
  const path = `/v1/data/${namespace}/objects/${encodeURIComponent(id)}`;
  const response = await inlet.fetch(path, { method: 'DELETE', ...init });
  const answer = (await response.json()) as { requestId: string; status: string };
  expect(response.status).toBe(202);
  expect(answer).toEqual({ requestId: expect.stringMatching(/^req_/), status: 'accepted' });
  expect(response.headers.get('x-request-id')).toBe(answer.requestId);
  return answer.requestId;
}

describeOnBothQueues(
  'DELETE of an object',
  (test) => {
    test('answers 202, its request succeeds, and the object is gone until it is written again', async ({
      inlet,
    }) => {
      await inlet.done('del', await inlet.write('del', '{"data":{"id":"a/b ü","n":1}}'));
      const request = await inlet.done('del', await remove(inlet, 'del', 'a/b ü'));
      expect(request).toMatchObject({ status: 'succeeded', counts: { objects: 1, stored: 1, failed: 0 } });
      expect(await inlet.objectText('del', 'a/b ü')).toBeUndefined();
      const list = await inlet.fetch('/v1/data/del/objects');
      expect(await list.json()).toEqual({ data: [], next_cursor: null });
      await inlet.done('del', await inlet.write('del', '{"data":{"id":"a/b ü","n":2}}'));
      expect(await inlet.object('del', 'a/b ü')).toMatchObject({ revision: 3, data: { n: 2 } });
    });

    test('of an unknown id is accepted too', async ({ inlet }) => {
      expect(await inlet.done('del', await remove(inlet, 'del', 'never'))).toMatchObject({
        status: 'succeeded',
      });
      expect(await inlet.objectText('del', 'never')).toBeUndefined();
    });

    test('may come with a content type and without a body, as some clients send it', async ({ inlet }) => {
      await remove(inlet, 'del', 'typed', { headers: { 'content-type': 'application/json' } });
    });

    test('is in order with writes that are sent one after the other', async ({ inlet }) => {
      let last = '';
      for (let n = 1; n <= 20; n += 1) {
        await inlet.write(
          'order',
          JSON.stringify({
            data: [
              { id: 'kept', n },
              { id: 'gone', n },
            ],
          }),
        );
        await remove(inlet, 'order', 'gone');
        await remove(inlet, 'order', 'kept');
        last = await inlet.write('order', JSON.stringify({ data: { id: 'kept', n: n + 0.5 } }));
      }
      await inlet.done('order', last);
      expect((await inlet.object('order', 'kept'))?.data['n']).toBe(20.5);
      await inlet.done('order', await remove(inlet, 'order', 'gone'));
      expect(await inlet.objectText('order', 'gone')).toBeUndefined();
    });

    test.for([
      ['', 'must not be empty'],
      ['a%00b', 'U+0000'],
      [encodeURIComponent('😀'.repeat(513)), 'at most 512'],
    ] as const)('refuses the id %j', async ([id, message], { inlet }) => {
      const response = await inlet.fetch(`/v1/data/del/objects/${id}`, { method: 'DELETE' });
      expect(response.status).toBe(400);
      expect(((await response.json()) as ProblemAnswer).detail).toContain(message);
    });

    test('takes an id of 512 characters of four bytes each', async ({ inlet }) => {
      await remove(inlet, 'del', '😀'.repeat(512));
    });

    test('needs a namespace and a key, and other methods get 405', async ({ inlet }) => {
      const bad = await inlet.fetch('/v1/data/a%20b/objects/x', { method: 'DELETE' });
      expect(bad.status).toBe(400);
      const anonymous = await fetch(`${inlet.url}/v1/data/del/objects/x`, { method: 'DELETE' });
      expect(anonymous.status).toBe(401);
      const put = await inlet.fetch('/v1/data/del/objects/x', { method: 'PUT', body: '{}' });
      expect(put.status).toBe(405);
      expect(put.headers.get('allow')).toBe('DELETE, GET, HEAD');
      const list = await inlet.fetch('/v1/data/del/objects', { method: 'DELETE' });
      expect(list.status).toBe(405);
    });
  },
  { workers: 2 },
);
