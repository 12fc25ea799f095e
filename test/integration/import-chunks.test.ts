/** How chunks of an import are counted: once each, and only those of the upload that counts. */
import { describe, expect } from 'vitest';
import type { Batch, RejectedLine } from '../../src/domain/batch.ts';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import type { Database, Queryable } from '../../src/store/database.ts';
import { failurePages } from '../../src/store/failed-objects.ts';
import {
  beginUpload,
  completeUpload,
  countImportIds,
  createImport,
  importIds,
  releaseUpload,
  renewUpload,
} from '../../src/store/imports.ts';
import { findRequest, RequestGoneError } from '../../src/store/requests.ts';
import { handMadeBatch, newBatchId, object } from '../support/batches.ts';
import { inletTest } from '../support/fixtures.ts';

const NAMESPACE = 'chunks';

/** An import behind the API. */
class Import {
  readonly requestId = requestIdAt(newBatchId(), 0);
  readonly #database: Database;

  private constructor(database: Database) {
    this.#database = database;
  }

  static async create(database: Database): Promise<Import> {
    const created = new Import(database);
    const { requestId } = created;
    await createImport(database, { requestId, namespace: NAMESPACE, expiresAt: Date.now() * 1_000 });
    return created;
  }

  async begin(): Promise<number> {
    const beginning = await beginUpload(this.#database, this.requestId, async () => ({
      stamp: 1_000_000,
      acceptedAt: 1_000_000,
    }));
    if (beginning.state !== 'begun') throw new Error(beginning.state);
    return beginning.upload;
  }

  chunk(
    upload: number,
    chunk: number,
    objects: readonly (readonly [string, string])[],
    rejected: readonly RejectedLine[] = [],
  ): Batch {
    const batch = handMadeBatch(1_000_000 + chunk, [{ namespace: NAMESPACE, objects }]);
    const lines = objects.map((_, i) => 100 * chunk + i + 1);
    const part = { requestId: this.requestId, upload, chunk, lines, rejected };
    return { ...batch, requests: batch.requests.map((request) => ({ ...request, import: part })) };
  }

  complete(upload: number, chunks: number): ReturnType<typeof completeUpload> {
    return completeUpload(this.#database, this.requestId, upload, chunks, 0);
  }

  async ids(): Promise<string[]> {
    const ids: string[] = [];
    for await (const page of importIds(this.#database, this.requestId)) ids.push(...page);
    return ids;
  }

  row(): ReturnType<typeof findRequest> {
    return findRequest(this.#database, NAMESPACE, this.requestId);
  }

  async failedLines(): Promise<number[]> {
    const lines: number[] = [];
    for await (const page of failurePages(this.#database, this.requestId))
      lines.push(...page.map(({ index }) => index));
    return lines;
  }
}

const test = inletTest().extend('file', ({ store: { database } }) => Import.create(database));

const rejectedLine = (line: number): RejectedLine => ({ line, id: '', text: 'bad', message: 'is bad' });

describe('a chunk', () => {
  test('counts once however often it is stored', async ({ store: { database }, file }) => {
    const upload = await file.begin();
    const bad = ['bad', '{"id": "bad", "v": "\\u0000"}'] as const;
    const batch = file.chunk(upload, 0, [object('a'), bad, object('b')], [rejectedLine(9)]);
    const [first, second] = [await storeBatch(database, batch), await storeBatch(database, batch)];
    expect(first).toMatchObject({ objects: 4, stored: 2, overtaken: 0, failed: 2 });
    expect(second).toMatchObject({ objects: 4, stored: 0, overtaken: 2, failed: 2 });
    await Promise.all([1, 2, 3].map(() => storeBatch(database, batch)));
    // What is known to come again isn't even tried: what has failed may be stored by a replay alone.
    expect(await storeBatch(database, { ...batch, isRetried: true })).toMatchObject({
      objects: 0,
      failed: 0,
    });
    expect(await file.row()).toMatchObject({ status: 'uploading', objects: 4, failed: 2 });
    expect(await file.failedLines()).toEqual([2, 9]);
    await file.complete(upload, 1);
    expect(await file.row()).toMatchObject({ status: 'failed', objects: 4, failed: 2 });
    await storeBatch(database, batch);
    expect(await file.row()).toMatchObject({ status: 'failed', objects: 4, failed: 2 });
    expect(await file.ids()).toEqual(['a', 'b']);
  });

  test('may hold nothing but lines that were rejected', async ({ store: { database }, file }) => {
    const upload = await file.begin();
    await storeBatch(database, file.chunk(upload, 0, [], [rejectedLine(1), rejectedLine(2)]));
    await file.complete(upload, 1);
    expect(await file.row()).toMatchObject({ status: 'failed', objects: 2, failed: 2 });
    expect(await file.ids()).toEqual([]);
  });

  test('of an upload that was given up counts for nothing, and nothing of it is stored', async ({
    store: { database },
    file,
  }) => {
    const first = await file.begin();
    await storeBatch(database, file.chunk(first, 0, [object('early')], [rejectedLine(1)]));
    const late = file.chunk(first, 1, [object('late')], [rejectedLine(101)]);
    await releaseUpload(database, file.requestId, first);
    const second = await file.begin();
    expect(second).toBe(first + 1);
    expect(await file.row()).toMatchObject({ status: 'uploading', objects: 0, failed: 0 });
    expect(await storeBatch(database, late)).toEqual({
      ...{ requests: 0, objects: 0, stored: 0, overtaken: 0, failed: 0 },
    });
    await storeBatch(database, file.chunk(second, 0, [object('only')]));
    await storeBatch(database, late);
    expect(await file.complete(first, 1)).toBeUndefined();
    await file.complete(second, 1);
    expect(await file.row()).toMatchObject({ status: 'succeeded', objects: 1, failed: 0 });
    expect(await file.failedLines()).toEqual([]);
    expect(await file.ids()).toEqual(['only']);
    const stored = await database.query({ text: `SELECT 1 FROM inlet.objects WHERE id = 'late'` });
    expect(stored).toEqual([]);
  });
});

describe('an import', () => {
  test('that is deleted while its results are read ends that with an error', async ({
    store: { database },
    file,
  }) => {
    const upload = await file.begin();
    for (let n = 0; n < 11; n += 1) await storeBatch(database, file.chunk(upload, n, [object(`a${n}`)]));
    await file.complete(upload, 11);
    const pages = importIds(database, file.requestId);
    expect((await pages.next()).value).toHaveLength(10);
    for (const table of ['requests', 'imports', 'import_chunks'])
      await database.query({
        text: `DELETE FROM inlet.${table} WHERE request_id = $1`,
        values: [file.requestId],
      });
    await expect(pages.next()).rejects.toThrow(RequestGoneError);
  });

  test('has its results counted a part at a time, however many they are', async ({
    store: { database },
    file,
  }) => {
    await database.query({
      text: `INSERT INTO inlet.import_chunks (request_id, chunk, ids)
             SELECT $1, n, CASE WHEN n = 7 THEN '[]' ELSE '["a", "b"]' END::jsonb FROM generate_series(0, 10000) AS n`,
      values: [file.requestId],
    });
    const counted: number[] = [];
    const watched: Queryable = {
      async query(statement) {
        const rows = await database.query(statement);
        counted.push(Number(rows[0]?.['chunks']));
        return rows as never;
      },
      write: (statement) => database.write(statement),
    };
    expect(await countImportIds(watched, file.requestId)).toBe(20_000);
    expect(counted).toEqual([5_000, 5_000, 1]);
  });

  test('that was let go of is free for the next upload, though a sign of life of the one before comes late', async ({
    store: { database },
    file,
  }) => {
    const first = await file.begin();
    expect(await renewUpload(database, file.requestId, first)).toBe(true);
    await releaseUpload(database, file.requestId, first);
    expect(await renewUpload(database, file.requestId, first)).toBe(false);
    expect(await file.begin()).toBe(first + 1);
  });

  test('is finished by whoever comes last, worker or API, in every race', async ({ store: { database } }) => {
    for (let round = 0; round < 15; round += 1) {
      const file = await Import.create(database);
      const upload = await file.begin();
      const chunks = [0, 1, 2, 3].map((chunk) => file.chunk(upload, chunk, [object(`r${round}-${chunk}`)]));
      await Promise.all([
        ...chunks.map((batch) => storeBatch(database, batch)),
        file.complete(upload, chunks.length),
      ]);
      expect(await file.row()).toMatchObject({
        status: 'succeeded',
        objects: 4,
        completedAt: expect.any(Number),
      });
    }
  });

  test('lists each id once, where it comes first, and without those that failed', async ({
    store: { database },
    file,
  }) => {
    const upload = await file.begin();
    const nul = (id: string) => [id, `{"id": "${id}", "v": "\\u0000"}`] as const;
    await storeBatch(database, file.chunk(upload, 1, [object('b'), object('d'), object('a'), object('e')]));
    await storeBatch(database, file.chunk(upload, 0, [object('a'), nul('x'), object('b'), object('a')]));
    await storeBatch(database, file.chunk(upload, 2, [object('e'), object('x'), nul('y'), object('b')]));
    await storeBatch(database, file.chunk(upload, 3, [object('a'), object('b')]));
    await file.complete(upload, 4);
    expect(await file.ids()).toEqual(['a', 'b', 'd', 'e', 'x']);
  });

  test('lists its ids page by page in the order of the file', async ({ store: { database }, file }) => {
    const upload = await file.begin();
    const ids = Array.from({ length: 35 }, (_, chunk) => [`${chunk}-b`, `${chunk}-a`]);
    for (const [chunk, some] of [...ids.entries()].reverse()) {
      await storeBatch(
        database,
        file.chunk(
          upload,
          chunk,
          some.map((id) => object(id)),
        ),
      );
    }
    await file.complete(upload, ids.length);
    expect(await file.ids()).toEqual(ids.flat());
  });

  test('has one upload at a time, and none once it is complete', async ({ store: { database }, file }) => {
    const stamp = async () => ({ stamp: 1, acceptedAt: 1 });
    const upload = await file.begin();
    expect(await beginUpload(database, file.requestId, stamp)).toEqual({ state: 'running' });
    await file.complete(upload, 7);
    expect(await beginUpload(database, file.requestId, stamp)).toEqual({ state: 'complete' });
    expect(await beginUpload(database, requestIdAt(newBatchId(), 0), stamp)).toEqual({ state: 'unknown' });
  });
});
