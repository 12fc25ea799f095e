/** How chunks of an import are counted: once each, and only those of the upload that counts. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Batch, RejectedLine } from '../../src/domain/batch.ts';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database } from '../../src/store/database.ts';
import { failurePages } from '../../src/store/failed-objects.ts';
import {
  beginUpload,
  completeUpload,
  createImport,
  importIds,
  releaseUpload,
} from '../../src/store/imports.ts';
import { findRequest } from '../../src/store/requests.ts';
import { handMadeBatch, newBatchId, object } from '../support/batches.ts';
import { openTestStore } from '../support/store.ts';

const NAMESPACE = 'chunks';

let database: Database;
let drop: () => Promise<void>;
let requestId: string;

beforeAll(async () => {
  const store = await openTestStore();
  drop = store.close;
  database = store.database;
});

afterAll(async () => {
  await drop?.();
});

beforeEach(async () => {
  requestId = requestIdAt(newBatchId(), 0);
  await createImport(database, { requestId, namespace: NAMESPACE, expiresAt: Date.now() * 1_000 });
});

async function begin(): Promise<number> {
  const beginning = await beginUpload(database, requestId, async () => 1_000_000);
  if (beginning.state !== 'begun') throw new Error(beginning.state);
  return beginning.upload;
}

function chunkBatch(
  upload: number,
  chunk: number,
  objects: readonly (readonly [string, string])[],
  rejected: readonly RejectedLine[] = [],
): Batch {
  const batch = handMadeBatch(1_000_000 + chunk, [{ namespace: NAMESPACE, objects }]);
  const lines = objects.map((_, i) => 100 * chunk + i + 1);
  const part = { requestId, upload, chunk, lines, rejected };
  return { ...batch, requests: batch.requests.map((request) => ({ ...request, import: part })) };
}

async function idsOf(): Promise<string[]> {
  const ids: string[] = [];
  for await (const page of importIds(database, requestId)) ids.push(...page);
  return ids;
}

const row = () => findRequest(database, NAMESPACE, requestId);

const failedLines = async (): Promise<number[]> => {
  const lines: number[] = [];
  for await (const page of failurePages(database, requestId)) lines.push(...page.map(({ index }) => index));
  return lines;
};

const rejectedLine = (line: number): RejectedLine => ({ line, id: '', text: 'bad', message: 'is bad' });

describe('a chunk', () => {
  it('counts once however often it is stored', async () => {
    const upload = await begin();
    const bad = ['bad', '{"id": "bad", "v": "\\u0000"}'] as const;
    const batch = chunkBatch(upload, 0, [object('a'), bad, object('b')], [rejectedLine(9)]);
    const [first, second] = [await storeBatch(database, batch), await storeBatch(database, batch)];
    expect(first).toMatchObject({ objects: 4, stored: 2, overtaken: 0, failed: 2 });
    expect(second).toMatchObject({ objects: 4, stored: 0, overtaken: 2, failed: 2 });
    await Promise.all([1, 2, 3].map(() => storeBatch(database, batch)));
    // What is known to come again isn't even tried: what has failed may be stored by a replay alone.
    expect(await storeBatch(database, { ...batch, isRetried: true })).toMatchObject({
      objects: 0,
      failed: 0,
    });
    expect(await row()).toMatchObject({ status: 'uploading', objects: 4, failed: 2 });
    expect(await failedLines()).toEqual([2, 9]);
    await completeUpload(database, requestId, upload, 1, 0);
    expect(await row()).toMatchObject({ status: 'failed', objects: 4, failed: 2 });
    await storeBatch(database, batch);
    expect(await row()).toMatchObject({ status: 'failed', objects: 4, failed: 2 });
    expect(await idsOf()).toEqual(['a', 'b']);
  });

  it('may hold nothing but lines that were rejected', async () => {
    const upload = await begin();
    await storeBatch(database, chunkBatch(upload, 0, [], [rejectedLine(1), rejectedLine(2)]));
    await completeUpload(database, requestId, upload, 1, 0);
    expect(await row()).toMatchObject({ status: 'failed', objects: 2, failed: 2 });
    expect(await idsOf()).toEqual([]);
  });

  it('of an upload that was given up counts for nothing, and nothing of it is stored', async () => {
    const first = await begin();
    await storeBatch(database, chunkBatch(first, 0, [object('early')], [rejectedLine(1)]));
    const late = chunkBatch(first, 1, [object('late')], [rejectedLine(101)]);
    await releaseUpload(database, requestId, first);
    const second = await begin();
    expect(second).toBe(first + 1);
    expect(await row()).toMatchObject({ status: 'uploading', objects: 0, failed: 0 });
    expect(await storeBatch(database, late)).toEqual({
      ...{ requests: 0, objects: 0, stored: 0, overtaken: 0, failed: 0 },
    });
    await storeBatch(database, chunkBatch(second, 0, [object('only')]));
    await storeBatch(database, late);
    expect(await completeUpload(database, requestId, first, 1, 0)).toBeUndefined();
    await completeUpload(database, requestId, second, 1, 0);
    expect(await row()).toMatchObject({ status: 'succeeded', objects: 1, failed: 0 });
    expect(await failedLines()).toEqual([]);
    expect(await idsOf()).toEqual(['only']);
    const stored = await database.query({ text: `SELECT 1 FROM inlet.objects WHERE id = 'late'` });
    expect(stored).toEqual([]);
  });
});

describe('an import', () => {
  it('is finished by whoever comes last, worker or API, in every race', async () => {
    for (let round = 0; round < 15; round += 1) {
      requestId = requestIdAt(newBatchId(), 0);
      await createImport(database, { requestId, namespace: NAMESPACE, expiresAt: 0 });
      const upload = await begin();
      const chunks = [0, 1, 2, 3].map((chunk) => chunkBatch(upload, chunk, [object(`r${round}-${chunk}`)]));
      await Promise.all([
        ...chunks.map((batch) => storeBatch(database, batch)),
        completeUpload(database, requestId, upload, chunks.length, 0),
      ]);
      expect(await row()).toMatchObject({ status: 'succeeded', objects: 4, completedAt: expect.any(Number) });
    }
  });

  it('lists each id once, where it comes first, and without those that failed', async () => {
    const upload = await begin();
    const nul = (id: string) => [id, `{"id": "${id}", "v": "\\u0000"}`] as const;
    await storeBatch(database, chunkBatch(upload, 1, [object('b'), object('d'), object('a'), object('e')]));
    await storeBatch(database, chunkBatch(upload, 0, [object('a'), nul('x'), object('b'), object('a')]));
    await storeBatch(database, chunkBatch(upload, 2, [object('e'), object('x'), nul('y'), object('b')]));
    await storeBatch(database, chunkBatch(upload, 3, [object('a'), object('b')]));
    await completeUpload(database, requestId, upload, 4, 0);
    expect(await idsOf()).toEqual(['a', 'b', 'd', 'e', 'x']);
  });

  it('lists its ids page by page in the order of the file', async () => {
    const upload = await begin();
    const ids = Array.from({ length: 35 }, (_, chunk) => [`${chunk}-b`, `${chunk}-a`]);
    for (const [chunk, some] of [...ids.entries()].reverse()) {
      await storeBatch(
        database,
        chunkBatch(
          upload,
          chunk,
          some.map((id) => object(id)),
        ),
      );
    }
    await completeUpload(database, requestId, upload, ids.length, 0);
    expect(await idsOf()).toEqual(ids.flat());
  });

  it('has one upload at a time, and none once it is complete', async () => {
    const clock = async () => 1;
    const upload = await begin();
    expect(await beginUpload(database, requestId, clock)).toEqual({ state: 'running' });
    await completeUpload(database, requestId, upload, 7, 0);
    expect(await beginUpload(database, requestId, clock)).toEqual({ state: 'complete' });
    expect(await beginUpload(database, requestIdAt(newBatchId(), 0), clock)).toEqual({ state: 'unknown' });
  });
});
