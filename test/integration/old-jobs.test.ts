/** Upgrades: jobs that earlier versions have put into the queue are stored. */
import { readdir, readFile } from 'node:fs/promises';
import { expect, onTestFinished } from 'vitest';
import { PAYLOAD_VERSION, REPLAY_VERSION } from '../../src/domain/batch.ts';
import { requestIdAt } from '../../src/domain/request-id.ts';
import type { Lane } from '../../src/queue/lane.ts';
import { newBatchId } from '../support/batches.ts';
import { describeOnBothQueues, freshDatabase, startInlet } from '../support/fixtures.ts';
import { prepare, redisUrlOf, testConfig } from '../support/inlet.ts';
import { query } from '../support/postgres.ts';
import { openBackend } from '../support/queues.ts';
import { waitFor } from '../support/wait-for.ts';

/** A folder for each version that was ever released, with jobs as that version has written them. Never changed. */
const PAYLOADS = new URL('../faults/payloads/', import.meta.url);

type Config = Awaited<ReturnType<typeof prepare>>;
type Row = Record<string, unknown>;

interface OldJob {
  readonly id: string;
  readonly lane: Lane;
  readonly payload: { readonly version: number };
}

async function oldJobs(version: number): Promise<OldJob[]> {
  const folder = new URL(`v${version}/`, PAYLOADS);
  const files = (await readdir(folder)).sort().reverse();
  return Promise.all(
    files.map(async (file) => JSON.parse(await readFile(new URL(file, folder), 'utf8')) as OldJob),
  );
}

describeOnBothQueues('an upgrade', (test, queue) => {
  /** A database of the version before, in which nothing runs. */
  async function openOld(): Promise<{ config: Config; rows: (sql: string) => Promise<Row[]> }> {
    const databaseUrl = await freshDatabase();
    const config = await prepare(testConfig({ databaseUrl, redisUrl: redisUrlOf(queue) }));
    return { config, rows: (sql) => query(databaseUrl, sql) };
  }

  /** Puts jobs into the queue as they are. */
  async function addJobs(config: Config, all: readonly OldJob[]): Promise<void> {
    const producer = openBackend(config).openProducer();
    onTestFinished(() => producer.close());
    await waitFor('the queue to be connected', () => producer.isConnected());
    for (const { id, lane, payload } of all) {
      const jobs = producer.createQueue(lane);
      onTestFinished(() => jobs.close());
      await jobs.waitUntilReady();
      await jobs.add('batch', payload, { jobId: `batch-${id}`, attempts: 1_000, removeOnComplete: true });
    }
  }

  /** Puts the jobs of a version into the queue, and starts this version. */
  async function upgrade(config: Config, version: number): Promise<void> {
    const jobs = await oldJobs(version);
    expect(jobs.map(({ payload }) => payload.version)).toEqual(jobs.map(() => version));
    await addJobs(config, jobs);
    await startInlet(config);
  }

  test('has jobs of every version of the payload to find', async () => {
    const newest = Math.max(PAYLOAD_VERSION, REPLAY_VERSION);
    const versions = Array.from({ length: newest }, (_, i) => `v${i + 1}`);
    expect((await readdir(PAYLOADS)).sort()).toEqual(versions);
  });

  test('finds jobs of version 1 of the payload, and stores them', async () => {
    const { config, rows } = await openOld();
    await rows(`ALTER TABLE inlet.objects ADD CONSTRAINT no_poison CHECK (NOT data ? 'poison')`);
    const importId = 'req_01h2m7qdmdjckc30e1mnq6z000';
    await rows(`INSERT INTO inlet.requests (request_id, namespace, status, accepted_at, completed_at, ids, objects, expected)
                  VALUES ('${importId}', 'old', 'ingesting', now(), NULL, NULL, 0, 3)`);
    await rows(
      `INSERT INTO inlet.imports (request_id, expires_at, upload, chunks) VALUES ('${importId}', now(), 1, 1)`,
    );
    await upgrade(config, 1);
    await waitFor('all requests to be done', async () => {
      const done = await rows('SELECT 1 FROM inlet.requests WHERE completed_at IS NOT NULL');
      return done.length === 5;
    });
    expect(
      await rows(`SELECT namespace, id, data::text AS data FROM inlet.objects ORDER BY namespace, id`),
    ).toEqual([
      { namespace: 'old', id: 'a', data: '{"n": 12345678901234567890.10, "id": "a"}' },
      { namespace: 'old', id: 'b', data: null },
      { namespace: 'old', id: 'c', data: '{"id": "c", "__proto__": 1}' },
      { namespace: 'old', id: 'x', data: '{"id": "x"}' },
      { namespace: 'old', id: 'y', data: '{"n": 100, "id": "y"}' },
      { namespace: 'other', id: 'a', data: '{"id": "a"}' },
    ]);
    expect(await rows(`SELECT status, objects, failed FROM inlet.requests ORDER BY request_id`)).toEqual([
      { status: 'succeeded', objects: 3, failed: 0 },
      { status: 'succeeded', objects: 1, failed: 0 },
      { status: 'succeeded', objects: 1, failed: 0 },
      { status: 'failed', objects: 2, failed: 1 },
      { status: 'failed', objects: 3, failed: 1 },
    ]);
    expect(await rows('SELECT id, index FROM inlet.failed_objects ORDER BY index')).toEqual([
      { id: 'poison', index: 1 },
      { id: '', index: 2 },
    ]);
    expect(await rows('SELECT schema FROM inlet.settings')).toEqual([
      { schema: { price: { content_type: 'metadata' } } },
    ]);
  });

  test('leaves processes that still run able to tell of requests that newer ones have taken', async ({
    config,
  }) => {
    const [readable, unreadable] = [newBatchId(), newBatchId()];
    const requests = [{ namespace: 'new', ids: ['a', 'b'], more: true }];
    const payload = { version: 99, acceptedAt: 1_700_000_000_000_000, requests, objects: { more: true } };
    await addJobs(config, [
      { id: readable, lane: 'writes', payload },
      { id: unreadable, lane: 'writes', payload: { version: 100 } },
    ]);
    const inlet = await startInlet(config, { workers: 0 });
    const requestId = requestIdAt(readable, 0);
    const queued = { request_id: requestId, status: 'queued', counts: { objects: 2, stored: 0, failed: 0 } };
    expect(await inlet.status('new', requestId)).toMatchObject(queued);
    const ask = (path: string): Promise<Response> => inlet.fetch(`/v1/data/${path}`);
    expect(await (await ask('new/requests')).json()).toMatchObject({ data: [queued] });
    expect((await ask(`other/requests/${requestId}`)).status).toBe(404);
    const unknown = await ask(`new/requests/${requestIdAt(unreadable, 0)}`);
    expect(unknown.status).toBe(503);
    expect(await unknown.json()).toMatchObject({ detail: expect.stringContaining('newer version') });
  });

  test('finds a replay of version 2 of the payload, and stores what had failed', async () => {
    const { config, rows } = await openOld();
    const requestId = 'req_01h2m7qdmdjckc30e1mnq6v000';
    await rows(`INSERT INTO inlet.requests (request_id, namespace, status, accepted_at, completed_at, ids, objects, failed)
                  VALUES ('${requestId}', 'old', 'failed', to_timestamp(1700000000), now(), '["a", "r", "s"]', 3, 2)`);
    await rows(`INSERT INTO inlet.failed_objects
                    (request_id, index, namespace, id, object, sqlstate, message, accepted_at, failed_at)
                  VALUES ('${requestId}', 1, 'old', 'r', '{"id":"r","n":1.0}', '23514', 'no', to_timestamp(1700000000),
                          to_timestamp(1700000000)),
                         ('${requestId}', 2, 'old', 's', '{"id":"s"}', '23514', 'no', to_timestamp(1700000000),
                          to_timestamp(1700000000))`);
    await upgrade(config, 2);
    await waitFor('the replay to be stored', async () => {
      const left = await rows('SELECT index FROM inlet.failed_objects');
      return left.length === 1;
    });
    expect(await rows('SELECT index FROM inlet.failed_objects')).toEqual([{ index: 2 }]);
    expect(
      await rows(
        `SELECT id, data::text AS data, request_id, extract(epoch FROM accepted_at)::int AS at FROM inlet.objects`,
      ),
    ).toEqual([{ id: 'r', data: '{"n": 1.0, "id": "r"}', request_id: requestId, at: 1_700_000_000 }]);
    expect(await rows('SELECT status, failed FROM inlet.requests')).toEqual([
      { status: 'failed', failed: 1 },
    ]);
  });
});
