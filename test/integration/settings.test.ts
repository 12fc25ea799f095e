/** A namespace's settings: set by themselves or along with data, and what they make of results. */
import { expect } from 'vitest';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { describeOnBothQueues } from '../support/fixtures.ts';
import type { ProblemAnswer, TestInlet } from '../support/inlet.ts';

function put(inlet: TestInlet, namespace: string, body: string): Promise<Response> {
  return inlet.fetch(`/v1/data/${namespace}/settings`, { method: 'PUT', body });
}

async function schemaText(inlet: TestInlet, namespace: string): Promise<string | undefined> {
  const response = await inlet.fetch(`/v1/data/${namespace}/settings`);
  if (response.status === 404) return undefined;
  const text = await response.text();
  expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  return /^\{"namespace":"[^"]+","schema":(.*),"updated_at":"[^"]+"\}$/.exec(text)?.[1];
}

/** The metadata of a request's only result, as text. */
async function metadata(inlet: TestInlet, namespace: string, requestId: string): Promise<string | undefined> {
  await inlet.done(namespace, requestId);
  const answer = await inlet.fetch(`/v1/data/${namespace}/requests/${requestId}`);
  return /"metadata":(.*),"url":/.exec(await answer.text())?.[1];
}

describeOnBothQueues(
  'settings',
  (test) => {
    test('are read back as they were put, and replaced as a whole', async ({ inlet }) => {
      expect(await schemaText(inlet, 'put')).toBeUndefined();
      const first = '{"a": {"content_type": "card", "display_hint": {"order": 1.0}}, "__proto__": {}}';
      const response = await put(inlet, 'put', `{"schema":${first}}`);
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ namespace: 'put', status: 'updated' });
      expect(await schemaText(inlet, 'put')).toBe(
        '{"a": {"content_type": "card", "display_hint": {"order": 1.0}}, "__proto__": {}}',
      );
      expect((await put(inlet, 'put', '{"schema":{"b":{}}}')).status).toBe(200);
      expect(await schemaText(inlet, 'put')).toBe('{"b": {}}');
      expect(await schemaText(inlet, 'other')).toBeUndefined();
    });

    test('that break a rule get 400 with the place, and change nothing', async ({ inlet }) => {
      await put(inlet, 'rules', '{"schema":{"b":{}}}');
      const response = await put(inlet, 'rules', '{"schema":{"f":{"content_type":"x"}}}');
      expect(response.status).toBe(400);
      expect(((await response.json()) as ProblemAnswer).errors?.[0]?.path).toBe('/schema/f/content_type');
      const data = '{"data":{"id":"a"},"schema":{"f":{"field_limit":0}}}';
      const write = await inlet.post('rules', data);
      expect(write.status).toBe(400);
      expect(((await write.json()) as ProblemAnswer).errors?.[0]?.path).toBe('/schema/f/field_limit');
      expect(await inlet.object('rules', 'a')).toBeUndefined();
      expect(await schemaText(inlet, 'rules')).toBe('{"b": {}}');
    });

    test('come along with data, and the latest accepted win, also over a PUT between them', async ({
      inlet,
    }) => {
      const send = (n: number): Promise<string> =>
        inlet.write('along', JSON.stringify({ data: { id: 'x' }, schema: { [`f${n}`]: {} } }));
      await inlet.done('along', await send(1));
      expect(await schemaText(inlet, 'along')).toBe('{"f1": {}}');
      await put(inlet, 'along', '{"schema":{"put":{}}}');
      expect(await schemaText(inlet, 'along')).toBe('{"put": {}}');
      await inlet.done('along', await send(2));
      expect(await schemaText(inlet, 'along')).toBe('{"f2": {}}');
      const requests = [];
      for (let n = 3; n < 40; n += 1) requests.push(await send(n));
      for (const id of requests) await inlet.done('along', id);
      expect(await schemaText(inlet, 'along')).toBe('{"f39": {}}');
      await inlet.done('along', await inlet.write('along', '{"data":{"id":"x"}}'));
      expect(await schemaText(inlet, 'along')).toBe('{"f39": {}}');
    });

    test('of one batch are applied in the order of its requests, and not by an older batch that comes later', async ({
      inlet,
      store,
    }) => {
      const batch = (at: number, ...names: string[]) => {
        const made = handMadeBatch(
          at,
          names.map(() => ({ namespace: 'order', objects: [object('x')] })),
        );
        const requests = made.requests.map((request, i) => ({ ...request, schema: `{"${names[i]}":{}}` }));
        return { ...made, requests };
      };
      await storeBatch(store.database, batch(2_000_000, 'a', 'b', 'c'));
      expect(await schemaText(inlet, 'order')).toBe('{"c": {}}');
      await storeBatch(store.database, batch(1_000_000, 'older'));
      expect(await schemaText(inlet, 'order')).toBe('{"c": {}}');
      await storeBatch(store.database, batch(2_000_001, 'newer'));
      expect(await schemaText(inlet, 'order')).toBe('{"newer": {}}');
    });

    test('that come along are applied also where an object of the batch fails', async ({ inlet, store }) => {
      const made = handMadeBatch(3_000_000, [
        { namespace: 'partly', objects: [object('a'), ['bad', '{"id":"bad","v":"\\u0000"}']] },
      ]);
      const requests = made.requests.map((request) => ({ ...request, schema: '{"s":{}}' }));
      expect(await storeBatch(store.database, { ...made, requests })).toMatchObject({ failed: 1 });
      expect(await schemaText(inlet, 'partly')).toBe('{"s": {}}');
    });

    test('name the fields that results hold as metadata, to the digit', async ({ inlet }) => {
      const schema =
        '{"big":{"content_type":"metadata"},"__proto__":{"content_type":"metadata"},' +
        '"":{"content_type":"metadata"},"none":{"content_type":"metadata"},"card":{"content_type":"card"}}';
      const data =
        '{"id":"x","big":[9007199254740993,1.0,1],"__proto__":{"a":0.10},"":null,"card":1,"free":2}';
      const requestId = await inlet.write('meta', `{"data":${data},"schema":${schema}}`);
      expect(await metadata(inlet, 'meta', requestId)).toBe(
        '{"": null, "big": [9007199254740993, 1.0, 1], "__proto__": {"a": 0.10}}',
      );
    });

    test('change the metadata of requests that are done, which is that of the objects as they are', async ({
      inlet,
      store,
    }) => {
      const first = await inlet.write('now', '{"data":{"id":"x","a":1.0,"b":2}}');
      expect(await metadata(inlet, 'now', first)).toBe('{}');
      await put(inlet, 'now', '{"schema":{"a":{"content_type":"metadata"}}}');
      expect(await metadata(inlet, 'now', first)).toBe('{"a": 1.0}');
      await inlet.done('now', await inlet.write('now', '{"data":{"id":"x","a":2.00}}'));
      expect(await metadata(inlet, 'now', first)).toBe('{"a": 2.00}');
      await store.database.query({ text: "DELETE FROM inlet.objects WHERE namespace = 'now'" });
      expect(await metadata(inlet, 'now', first)).toBe('{}');
    });
  },
  { workers: 2 },
);
