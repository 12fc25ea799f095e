/** A worker that has stopped making progress says so on its port; one that waits for Postgres does not. */
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { buildHealthServer } from '../../src/http/server.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { batchHandler } from '../../src/ingest/worker.ts';
import { WATCH_LIMITS, WorkerWatch } from '../../src/ingest/worker-watch.ts';
import type { BatchHandler, BatchQueue, QueueProvider } from '../../src/queue/queue.ts';
import { startApi } from '../../src/roles/api.ts';
import { startWorker } from '../../src/roles/worker.ts';
import type { RuntimeConfig } from '../../src/runtime.ts';
import { Database } from '../../src/store/database.ts';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { eventually, TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { describeOnBothQueues, openBackend, openProvider, whenConnected } from '../support/queues.ts';

const log = pino({ level: 'silent' });
const MINUTE = 60_000;

let closers: (() => Promise<unknown>)[];

beforeEach(() => {
  closers = [];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

describeOnBothQueues('the health of a worker', ({ redisUrl }) => {
  let config: RuntimeConfig;
  let provider: QueueProvider;
  let queue: BatchQueue;
  let watch: WorkerWatch;
  let now: number;

  beforeEach(async () => {
    const database = await createTestDatabase();
    closers.push(database.drop);
    config = testConfig({ databaseUrl: database.url, redisUrl });
    provider = openProvider(config);
    queue = provider.openQueue();
    closers.push(() => queue.close());
    now = 0;
    const concurrency = { writes: 2, imports: 1 };
    watch = new WorkerWatch({ queue, concurrency, limits: WATCH_LIMITS, now: () => now });
    closers.push(async () => watch.close());
  });

  function consume(handler: BatchHandler): void {
    const options = { concurrency: 2, importConcurrency: 1 };
    const consumer = provider.consume(watch.handler(handler), options);
    closers.push(() => consumer.close(0));
  }

  async function addBatch(): Promise<void> {
    const batch = handMadeBatch(1, [{ namespace: 'health', objects: [object('a')] }]);
    await whenConnected(() => queue.add(batch));
  }

  async function health(): Promise<{ status: number; body: unknown }> {
    const server = buildHealthServer({
      log,
      newRequestId: () => 'req_1',
      readiness: async () => ({ queue: 'up', store: 'up', ready: true, warnings: [] }),
      problem: () => watch.problem(),
      metricsText: async () => '',
    });
    const response = await server.inject('/healthz');
    await server.close();
    return { status: response.statusCode, body: response.json() };
  }

  it('is bad when a batch hangs in its handler, and good again when it is done', async () => {
    let finish: () => void = () => undefined;
    consume(
      () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
    );
    await addBatch();
    await eventually(async () => (watch.inHand('writes') === 1 ? true : undefined));
    expect(await health()).toEqual({ status: 200, body: { status: 'ok' } });
    now += 6 * MINUTE;
    expect(await health()).toEqual({
      status: 503,
      body: { status: 'stuck', problem: expect.stringContaining('in hand for 360 s') },
    });
    finish();
    await eventually(async () => ((await health()).status === 200 ? true : undefined));
  });

  it('is bad when batches wait and the worker takes none, and good again when it does', async () => {
    await addBatch();
    await watch.look();
    now += 3 * MINUTE;
    await watch.look();
    expect(await health()).toEqual({
      status: 503,
      body: { status: 'stuck', problem: expect.stringContaining('none was taken') },
    });
    consume(async () => undefined);
    await eventually(async () => ((await health()).status === 200 ? true : undefined));
  });

  it('stays good while somebody has paused the queue', async () => {
    await addBatch();
    expect(await queue.takeable('writes')).toBe(1);
    const producer = openBackend(config).openProducer();
    await eventually(async () => (producer.isConnected() ? true : undefined));
    const paused = producer.createQueue('writes');
    closers.push(
      () => producer.close(),
      () => paused.close(),
    );
    await paused.pause();
    expect(await queue.takeable('writes')).toBe(0);
    await watch.look();
    now += 60 * MINUTE;
    await watch.look();
    expect((await health()).status).toBe(200);
    await paused.resume();
    expect(await queue.takeable('writes')).toBe(1);
  });

  it('stays good while Postgres is away, however long', async () => {
    const away = `postgres://nobody@127.0.0.1:${await freePort()}/none`;
    const database = new Database({
      url: away,
      poolSize: 1,
      queryTimeoutMs: 1_000,
      onError: () => undefined,
    });
    closers.push(() => database.close());
    let faults = 0;
    const problems: (string | undefined)[] = [];
    const handler = batchHandler((batch) => storeBatch(database, batch), log, {
      onProgress: (batch) => watch.onProgress(batch),
      onFault: () => {
        faults += 1;
        now += 4 * MINUTE;
        problems.push(watch.problem());
      },
    });
    consume(handler);
    await addBatch();
    await eventually(async () => (faults >= 4 ? true : undefined));
    await watch.look();
    expect(problems.filter((problem) => problem !== undefined)).toEqual([]);
    expect((await health()).status).toBe(200);
  });

  it('of a worker as it runs is bad while a statement hangs, and says so on its port', async () => {
    const workerLog = pino({ level: 'info' }, { write: (line) => lines.push(line) });
    const lines: string[] = [];
    const limits = { ...WATCH_LIMITS, inHandMs: { writes: 300, imports: 300 } };
    const inlet = await TestInlet.start(config, { workers: 0 });
    closers.push(() => inlet.close());
    const worker = await startWorker(config, workerLog, 0, undefined, { limits });
    closers.push(() => worker.close());
    const url = /"url":"(http[^"]+)"/.exec(lines.join(''))?.[1] ?? '';
    const status = async () => (await fetch(`${url}/healthz`)).status;

    const locking = new Database({
      ...{ url: config.databaseUrl, poolSize: 1, queryTimeoutMs: 20_000, onError: () => undefined },
    });
    closers.push(() => locking.close());
    await locking.transaction(async (transaction) => {
      await transaction.query({ text: 'LOCK TABLE inlet.objects IN ACCESS EXCLUSIVE MODE' });
      await inlet.write('held', '{"data": {"id": "a"}}');
      await eventually(async () => ((await status()) === 503 ? true : undefined));
    });
    await eventually(async () => ((await status()) === 200 ? true : undefined));
  });
});

it('where API and worker are one process, the API tells of the worker too', async () => {
  const database = await createTestDatabase();
  closers.push(database.drop);
  let problem: string | undefined;
  const worker = { problem: () => problem, close: async () => undefined };
  const api = await startApi(testConfig({ databaseUrl: database.url }), ['key'], log, undefined, { worker });
  closers.push(() => api.close());
  expect((await fetch(`${api.url}/healthz`)).status).toBe(200);
  problem = 'it hangs';
  const response = await fetch(`${api.url}/healthz`);
  expect(response.status).toBe(503);
  expect(await response.json()).toEqual({ status: 'stuck', problem: 'it hangs' });
});
