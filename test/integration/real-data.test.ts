/** The whole way with real records: HTTP in, Postgres, HTTP out; what is read back equals what was sent. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { importFile } from '../support/imports.ts';
import { TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { describeOnBothQueues } from '../support/queues.ts';

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

describeOnBothQueues('real records', ({ redisUrl }) => {
  let inlet: TestInlet;
  let drop: () => Promise<void>;

  beforeAll(async () => {
    const database = await createTestDatabase();
    drop = database.drop;
    inlet = await TestInlet.start(testConfig({ databaseUrl: database.url, redisUrl }), { workers: 2 });
  });

  afterAll(async () => {
    await inlet?.close();
    await drop?.();
  });

  async function expectStored(namespace: string, records: readonly Record_[]): Promise<void> {
    for (let start = 0; start < records.length; start += 50) {
      const some = records.slice(start, start + 50);
      const objects = await Promise.all(some.map(({ id }) => inlet.object(namespace, id)));
      expect(objects.map((object) => object?.data)).toEqual(some);
    }
  }

  it.each(['movies', 'cars', 'penguins', 'uniform-2d'])(
    '%s sent in lists are read back as they were sent',
    async (name) => {
      const records = dataset(name);
      expect(records.length).toBeGreaterThan(300);
      for (let start = 0; start < records.length; start += 500) {
        const chunk = records.slice(start, start + 500);
        const answer = await inlet.done(name, await inlet.write(name, JSON.stringify({ data: chunk })));
        expect(answer.status).toBe('succeeded');
        expect(answer.data.map(({ id }) => id)).toEqual(chunk.map(({ id }) => id));
      }
      await expectStored(name, records);
    },
  );

  it.each([
    ['movies', dataset('movies')],
    ['countries', countries()],
  ])('%s imported as a file are read back as they were sent', async (name, records) => {
    const namespace = `imported-${name}`;
    const file = new Uint8Array(gzipSync(records.map((record) => JSON.stringify(record)).join('\r\n')));
    const requestId = await importFile(inlet, namespace, file, { 'content-encoding': 'gzip' });
    const answer = await inlet.done(namespace, requestId);
    expect(answer).toMatchObject({ status: 'succeeded', counts: { objects: records.length, failed: 0 } });
    expect(answer.data.map(({ id }) => id)).toEqual(records.map(({ id }) => id));
    await expectStored(namespace, records);
  });

  it('countries sent one by one, all at once, are read back as they were sent', async () => {
    const records = countries();
    const requestIds = await Promise.all(
      records.map((record) => inlet.write('countries', JSON.stringify({ data: record }))),
    );
    expect(new Set(requestIds).size).toBe(records.length);
    for (const requestId of requestIds) {
      expect((await inlet.done('countries', requestId)).counts).toEqual({ objects: 1, stored: 1, failed: 0 });
    }
    await expectStored('countries', records);
  });

  it('records sent twice over with changes, gzipped, hold the changes', async () => {
    const first = countries();
    const second = first.map((record, index) => ({ ...record, visited: index % 2 === 0 }));
    for (const records of [first, second]) {
      const body = new Uint8Array(gzipSync(JSON.stringify({ data: records })));
      const requestId = await inlet.write('zipped', body, { 'content-encoding': 'gzip' });
      await inlet.done('zipped', requestId);
    }
    await expectStored('zipped', second);
    expect((await inlet.object('zipped', 'ISL'))?.revision).toBe(2);
  });
});
