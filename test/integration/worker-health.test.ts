/** A worker that has stopped making progress says so on its port; one that waits for Postgres does not. */
import { expect, onTestFinished } from 'vitest';
import { buildHealthServer } from '../../src/http/server.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { batchHandler } from '../../src/ingest/worker.ts';
import { WATCH_LIMITS, WorkerWatch } from '../../src/ingest/worker-watch.ts';
import { byLane } from '../../src/queue/lane.ts';
import type { BatchHandler, BatchQueue } from '../../src/queue/queue.ts';
import type { QueueConfig } from '../../src/runtime.ts';
import { Database } from '../../src/store/database.ts';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { createLog } from '../../src/telemetry.ts';
import { handMadeBatch, newBatchId, object } from '../support/batches.ts';
import { describeOnBothQueues, inletTest, startInlet } from '../support/fixtures.ts';
import { openBackend, openProvider, whenConnected } from '../support/queues.ts';
import { waitFor } from '../support/wait-for.ts';
import { startWorkerWithPort } from '../support/worker.ts';

const log = createLog('silent');
const MINUTE = 60_000;

/** A watched queue of its own, and the clock that the watch goes by. */
function openWatched(config: QueueConfig) {
  const name = `health-${newBatchId()}`;
  const provider = openProvider(config, name);
  const queue = provider.openQueue();
  onTestFinished(() => queue.close());
  const clock = { now: 0 };
  const concurrency = { writes: 2, imports: 1, replays: 1 };
  const watch = new WorkerWatch({ queue, concurrency, limits: WATCH_LIMITS, now: () => clock.now });
  onTestFinished(() => watch.close());
  return {
    name,
    queue,
    watch,
    clock,
    consume(handler: BatchHandler): void {
      const consumer = provider.consume(watch.handler(handler), { concurrency, queue });
      onTestFinished(() => consumer.close(0));
    },
  };
}

async function addBatch(queue: BatchQueue): Promise<void> {
  const batch = handMadeBatch(1, [{ namespace: 'health', objects: [object('a')] }]);
  await whenConnected(() => queue.add(batch));
}

async function health(watch: WorkerWatch): Promise<{ status: number; body: unknown }> {
  const server = buildHealthServer({
    log,
    newRequestId: () => 'req_1',
    readiness: async () => ({ queue: 'up', store: 'up', ready: true, reads: true, warnings: [] }),
    problem: () => watch.problem(),
    metricsText: async () => '',
  });
  const response = await server.inject('/healthz');
  await server.close();
  return { status: response.statusCode, body: response.json() };
}

function goodAgain(watch: WorkerWatch): Promise<true> {
  return waitFor('the worker to be well again', async () => (await health(watch)).status === 200);
}

describeOnBothQueues(
  'the health of a worker',
  (test) => {
    test('is bad when a batch hangs in its handler, and good again when it is done', async ({ config }) => {
      const { queue, watch, clock, consume } = openWatched(config);
      let finish: () => void = () => undefined;
      consume(
        () =>
          new Promise((resolve) => {
            finish = resolve;
          }),
      );
      await addBatch(queue);
      await waitFor('the batch to be in hand', () => watch.inHand('writes') === 1);
      expect(await health(watch)).toEqual({ status: 200, body: { status: 'ok' } });
      clock.now += 6 * MINUTE;
      expect(await health(watch)).toEqual({
        status: 503,
        body: { status: 'stuck', problem: expect.stringContaining('in hand for 360 s') },
      });
      finish();
      await goodAgain(watch);
    });

    test('is bad when batches wait and the worker takes none, and good again when it does', async ({
      config,
    }) => {
      const { queue, watch, clock, consume } = openWatched(config);
      await addBatch(queue);
      await watch.look();
      clock.now += 3 * MINUTE;
      await watch.look();
      expect(await health(watch)).toEqual({
        status: 503,
        body: { status: 'stuck', problem: expect.stringContaining('none was taken') },
      });
      consume(async () => undefined);
      await goodAgain(watch);
    });

    test('stays good while somebody has paused the queue', async ({ config }) => {
      const { name, queue, watch, clock } = openWatched(config);
      await addBatch(queue);
      expect(await queue.takeable('writes')).toBe(1);
      const producer = openBackend(config, name).openProducer();
      onTestFinished(() => producer.close());
      await waitFor('the producer to be connected', () => producer.isConnected());
      const paused = producer.createQueue('writes');
      onTestFinished(() => paused.close());
      await paused.pause();
      expect(await queue.takeable('writes')).toBe(0);
      await watch.look();
      clock.now += 60 * MINUTE;
      await watch.look();
      expect((await health(watch)).status).toBe(200);
      await paused.resume();
      expect(await queue.takeable('writes')).toBe(1);
    });

    test('stays good while Postgres is away, however long', async ({ config }) => {
      const { queue, watch, clock, consume } = openWatched(config);
      const database = openDatabase(`postgres://nobody@127.0.0.1:${await freePort()}/none`, 1_000);
      let faults = 0;
      const problems: (string | undefined)[] = [];
      const handler = batchHandler((batch) => storeBatch(database, batch), log, {
        onProgress: (batch) => watch.onProgress(batch),
        onFault: () => {
          faults += 1;
          clock.now += 4 * MINUTE;
          problems.push(watch.problem());
        },
      });
      consume(handler);
      await addBatch(queue);
      await waitFor('four faults', () => faults >= 4);
      await watch.look();
      expect(problems.filter((problem) => problem !== undefined)).toEqual([]);
      expect((await health(watch)).status).toBe(200);
    });

    test('of a worker as it runs is bad while a statement hangs, and says so on its port', async ({
      inlet,
      config,
    }) => {
      const limits = { ...WATCH_LIMITS, inHandMs: byLane(() => 300) };
      const worker = await startWorkerWithPort(config, { parts: { limits } });
      onTestFinished(() => worker.close());
      const becomes = (status: number): Promise<true> =>
        waitFor(`the answer ${status}`, async () => (await fetch(`${worker.url}/healthz`)).status === status);

      const locking = openDatabase(config.databaseUrl, 20_000);
      await locking.transaction(async (transaction) => {
        await transaction.query({ text: 'LOCK TABLE inlet.objects IN ACCESS EXCLUSIVE MODE' });
        await inlet.write('held', '{"data": {"id": "a"}}');
        await becomes(503);
      });
      await becomes(200);
    });
  },
  { workers: 0 },
);

/** A connection for one test. */
function openDatabase(url: string, queryTimeoutMs: number): Database {
  const database = new Database({ url, poolSize: 1, queryTimeoutMs, onError: () => undefined });
  onTestFinished(() => database.close());
  return database;
}

inletTest()('where API and worker are one process, the API tells of the worker too', async ({ config }) => {
  let problem: string | undefined;
  const worker = { problem: () => problem, close: async () => undefined };
  const { url } = await startInlet(config, { workers: 0, parts: { worker } });
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  problem = 'it hangs';
  const response = await fetch(`${url}/healthz`);
  expect(response.status).toBe(503);
  expect(await response.json()).toEqual({ status: 'stuck', problem: 'it hangs' });
});
