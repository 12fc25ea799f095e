/** The whole way with real records: HTTP in, Postgres, HTTP out; what is read back equals what was sent. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { expect } from 'vitest';
import { describeOnBothQueues } from './fixtures.ts';
import { importFile } from './imports.ts';
import type { ObjectAnswer, TestInlet } from './inlet.ts';

type Record_ = Record<string, unknown> & { id: string };

const require = createRequire(import.meta.url);

function dataset(name: string): Record_[] {
  const file = new URL(`../../node_modules/vega-datasets/data/${name}.json`, import.meta.url);
  const rows = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>[];
  return rows.map((row, index) => ({ ...row, id: `${name}-${index}` }));
}

function countries(): Record_[] {
  const rows = require('world-countries') as Record<string, unknown>[];
  return rows.map((row) => ({ ...row, id: String(row['cca3']) }));
}

/** Reads objects in some way. */
type Read = (inlet: TestInlet, namespace: string, ids: readonly string[]) => Promise<unknown[]>;

/** Reads each by itself. */
export const oneByOne: Read = async (inlet, namespace, ids) => {
  const objects = await Promise.all(ids.map((id) => inlet.object(namespace, id)));
  return objects.map((object) => object?.data);
};

/** Reads all of them with one request. */
export const inOneList: Read = async (inlet, namespace, ids) => {
  const query = new URLSearchParams(ids.map((id): [string, string] => ['id', id]));
  const response = await inlet.fetch(`/v1/data/${namespace}/objects?${query}`);
  const { data } = (await response.json()) as { data: readonly ObjectAnswer[] };
  return ids.map((id) => data.find((object) => object.id === id)?.data);
};

/**
 * Declares the tests.
 * @param most how many records of a dataset are sent in lists and files
 * @param single how many are sent one by one
 * @param read how they are read back, 50 at a time
 */
export function describeRealRecords(size: { most: number; single: number }, read: Read): void {
  async function expectStored(
    inlet: TestInlet,
    namespace: string,
    records: readonly Record_[],
  ): Promise<void> {
    for (let start = 0; start < records.length; start += 50) {
      const some = records.slice(start, start + 50);
      const ids = some.map(({ id }) => id);
      expect(await read(inlet, namespace, ids)).toEqual(some);
    }
  }

  describeOnBothQueues(
    'real records',
    (test) => {
      test.for(['movies', 'cars', 'penguins', 'uniform-2d'])(
        '%s sent in lists are read back as they were sent',
        async (name, { inlet }) => {
          const records = dataset(name).slice(0, size.most);
          expect(records.length).toBeGreaterThan(300);
          for (let start = 0; start < records.length; start += 500) {
            const chunk = records.slice(start, start + 500);
            const answer = await inlet.done(name, await inlet.write(name, JSON.stringify({ data: chunk })));
            expect(answer.status).toBe('succeeded');
            expect(answer.data.map(({ id }) => id)).toEqual(chunk.map(({ id }) => id));
          }
          await expectStored(inlet, name, records);
        },
      );

      test.for([
        ['movies', () => dataset('movies')],
        ['countries', countries],
      ] as const)(
        '%s imported as a file are read back as they were sent',
        async ([name, load], { inlet }) => {
          const namespace = `imported-${name}`;
          const records = load().slice(0, size.most);
          const file = new Uint8Array(gzipSync(records.map((record) => JSON.stringify(record)).join('\r\n')));
          const requestId = await importFile(inlet, namespace, file, { 'content-encoding': 'gzip' });
          const answer = await inlet.done(namespace, requestId);
          expect(answer).toMatchObject({
            status: 'succeeded',
            counts: { objects: records.length, failed: 0 },
          });
          expect(answer.data.map(({ id }) => id)).toEqual(records.map(({ id }) => id));
          await expectStored(inlet, namespace, records);
        },
      );

      test('countries sent one by one, all at once, are read back as they were sent', async ({ inlet }) => {
        const records = countries().slice(0, size.single);
        const requestIds = await Promise.all(
          records.map((record) => inlet.write('countries', JSON.stringify({ data: record }))),
        );
        expect(new Set(requestIds).size).toBe(records.length);
        for (const requestId of requestIds) {
          const { counts } = await inlet.done('countries', requestId);
          expect(counts).toEqual({ objects: 1, stored: 1, failed: 0 });
        }
        await expectStored(inlet, 'countries', records);
      });

      test('records sent twice over with changes, gzipped, hold the changes', async ({ inlet }) => {
        const first = countries();
        const second = first.map((record, index) => ({ ...record, visited: index % 2 === 0 }));
        for (const records of [first, second]) {
          const body = new Uint8Array(gzipSync(JSON.stringify({ data: records })));
          const requestId = await inlet.write('zipped', body, { 'content-encoding': 'gzip' });
          await inlet.done('zipped', requestId);
        }
        await expectStored(inlet, 'zipped', second);
        expect((await inlet.object('zipped', 'ISL'))?.revision).toBe(2);
      });
    },
    { workers: 2 },
  );
}
