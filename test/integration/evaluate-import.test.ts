/** The evaluation of an import, without a queue: it is done with the last of its chunks, in whatever order they come. */
import { describe, expect } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import { requestIdAt } from '../../src/domain/request-id.ts';
import type { Database } from '../../src/store/database.ts';
import { beginUpload, completeUpload, createImport, releaseUpload } from '../../src/store/imports.ts';
import type { HandMadeRequest } from '../support/batches.ts';
import { handMadeBatch, newBatchId, object } from '../support/batches.ts';
import {
  evaluationTest,
  events,
  NS,
  Recorder,
  run,
  statusOf,
  stored,
  waitingRows,
} from '../support/evaluation.ts';

const test = evaluationTest();

describe('an import', () => {
  /** Asks for a file, and begins to send it. */
  async function begun(database: Database): Promise<{ requestId: string; upload: number }> {
    const requestId = requestIdAt(newBatchId(), 0);
    await createImport(database, { requestId, namespace: NS, expiresAt: Date.now() * 1_000 });
    return { requestId, upload: await begin(database, requestId) };
  }

  async function begin(database: Database, requestId: string): Promise<number> {
    const beginning = await beginUpload(database, requestId, async () => ({
      stamp: 5_000_000,
      acceptedAt: 5_000_000,
    }));
    if (beginning.state !== 'begun') throw new Error(beginning.state);
    return beginning.upload;
  }

  type Upload = Awaited<ReturnType<typeof begun>>;

  function chunkOf(
    { requestId, upload }: Upload,
    chunk: number,
    ...objects: HandMadeRequest['objects']
  ): Batch {
    const batch = handMadeBatch(5_000_000 + chunk, [{ namespace: NS, objects }]);
    const lines = objects.map((_, i) => 100 * chunk + i + 1);
    const part = { requestId, upload, chunk, lines, rejected: [] };
    return { ...batch, requests: batch.requests.map((request) => ({ ...request, import: part })) };
  }

  test('is done when all chunks are in and evaluated, whatever comes last, in every race', async ({
    store: { database },
  }) => {
    for (let round = 0; round < 10; round += 1) {
      const begins = await begun(database);
      const { requestId, upload } = begins;
      const chunks = [0, 1, 2, 3].map((chunk) => chunkOf(begins, chunk, object(`r${round}-${chunk}`)));
      await Promise.all([
        ...chunks.map(async (batch) => {
          await stored(database, batch);
          await run(database, batch, new Recorder());
        }),
        completeUpload(database, requestId, upload, chunks.length, 4),
      ]);
      expect(await statusOf(database, requestId)).toBe('succeeded');
    }
  });

  test('is not done before the last of its chunks is evaluated', async ({ store: { database } }) => {
    const begins = await begun(database);
    const { requestId, upload } = begins;
    const chunks = [chunkOf(begins, 0, object('a')), chunkOf(begins, 1, object('b'), object('a'))];
    for (const batch of chunks) expect(await stored(database, batch)).toBe(true);
    await completeUpload(database, requestId, upload, 2, 3);
    // Its job again, as after the death of a worker.
    await stored(database, chunks[1] as Batch);
    expect(await statusOf(database, requestId)).toBe('ingesting');
    await run(database, chunks[1] as Batch, new Recorder());
    expect(await statusOf(database, requestId)).toBe('ingesting');
    await run(database, chunks[0] as Batch, new Recorder());
    expect(await statusOf(database, requestId)).toBe('succeeded');
    const rows = await database.query<{ object_id: string; at: string }>({
      text: `SELECT object_id, (extract(epoch FROM accepted_at) * 1000000)::bigint::text AS at
             FROM inlet.webhook_deliveries WHERE request_id = $1 ORDER BY at, object_id`,
      values: [requestId],
    });
    expect(rows.map(({ object_id, at }) => [object_id, at])).toEqual([
      ['a', '5000000'],
      ['a', '5000000'],
      ['b', '5000000'],
    ]);
  });

  test('whose file is sent again waits for nothing of the first time, and tells of all in the second', async ({
    store: { database },
  }) => {
    const first = await begun(database);
    const { requestId } = first;
    const old = chunkOf(first, 0, object('old'));
    await stored(database, old);
    await run(database, old, new Recorder());
    const lost = chunkOf(first, 1, object('lost'));
    await stored(database, lost);
    await releaseUpload(database, requestId, first.upload);
    const second = await begin(database, requestId);
    const next = chunkOf({ requestId, upload: second }, 0, object('new'));
    await stored(database, next);
    await completeUpload(database, requestId, second, 1, 1);
    expect(await run(database, lost, new Recorder())).toMatchObject({ requests: 0 });
    expect(await statusOf(database, requestId)).toBe('ingesting');
    await run(database, next, new Recorder());
    expect(await statusOf(database, requestId)).toBe('succeeded');
    expect((await events(database)).map(({ object_id }) => object_id).sort()).toEqual(['new', 'old']);
    expect(await waitingRows(database)).toEqual([]);
  });
});
