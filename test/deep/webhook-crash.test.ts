/** No event is lost, whatever dies: workers in the middle of a delivery, or before anything was put into the queue. */
import { expect, onTestFinished } from 'vitest';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { startWorker } from '../../src/roles/worker.ts';
import type { QueueConfig } from '../../src/runtime.ts';
import type { Database } from '../../src/store/database.ts';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { describeOnBothQueues, freshDatabase, startInlet } from '../support/fixtures.ts';
import type { QueueName } from '../support/inlet.ts';
import { redisUrlOf, testConfig } from '../support/inlet.ts';
import { keptLog } from '../support/log.ts';
import { InletProcess } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { depthOf, openProvider, whenConnected } from '../support/queues.ts';
import { answering, deliveriesOf, makeDeliveries, makeEndpoint, startReceiver } from '../support/receiver.ts';
import { connectStore } from '../support/store.ts';
import { waitFor } from '../support/wait-for.ts';

/** Starts a worker as a process of its own. */
async function spawnWorker({ databaseUrl, redisUrl, redisPrefix }: QueueConfig): Promise<InletProcess> {
  const worker = new InletProcess(['worker'], {
    DATABASE_URL: databaseUrl,
    ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
    INLET_REDIS_PREFIX: redisPrefix,
    INLET_WORKER_PORT: '0',
    INLET_WEBHOOK_ALLOW_HTTP: 'true',
    INLET_WEBHOOK_ALLOW_NETWORKS: '127.0.0.0/8',
  });
  onTestFinished(() => worker.close());
  await worker.logged('the worker runs');
  return worker;
}

async function allDelivered(database: Database, endpointId: string, count: number): Promise<void> {
  await waitFor(
    'all to be delivered',
    async () => {
      const rows = await deliveriesOf(database, endpointId);
      return rows.length === count && rows.every(({ status }) => status === 'succeeded');
    },
    60_000,
  );
}

/** A database and a queue for one test: what was killed leaves some of its work there. */
async function setUp(queue: QueueName): Promise<{ config: QueueConfig; database: Database }> {
  const databaseUrl = await freshDatabase();
  const { database, close } = connectStore(databaseUrl);
  onTestFinished(close);
  const overrides = { webhookAllowHttp: true, webhookAllowNetworks: ['127.0.0.0/8'] };
  return { database, config: testConfig({ databaseUrl, redisUrl: redisUrlOf(queue) }, overrides) };
}

describeOnBothQueues('webhooks of workers that die', (test, queue) => {
  test('come from another one where it was killed in the middle of them', { timeout: 90_000 }, async () => {
    const { config, database } = await setUp(queue);
    const receiver = await startReceiver((response, received) => {
      setTimeout(() => answering(200)(response, received), 20);
    });
    const { id } = await makeEndpoint(database, receiver.url);
    const inlet = await startInlet(config, { workers: 0 });
    const worker = await spawnWorker(config);
    const objects = (from: number) =>
      JSON.stringify({ data: Array.from({ length: 50 }, (_, i) => ({ id: `object-${from + i}` })) });
    await Promise.all([0, 50, 100, 150, 200, 250].map((from) => inlet.write('killed', objects(from))));
    await waitFor('60 webhooks', () => receiver.received.length >= 60);
    await worker.kill('SIGKILL');
    expect(receiver.ids.size).toBeLessThan(300);
    await spawnWorker(config);
    await allDelivered(database, id, 300);
    expect(receiver.ids.size).toBe(300);
    const objectIds = receiver.received.map(({ body }) => (JSON.parse(body) as { id: string }).id);
    expect(new Set(objectIds).size).toBe(300);
    // Only what was on its way, or not yet kept, came twice.
    expect(receiver.received.length).toBeLessThan(300 + 60);
  });

  test('come where it died after the commit, before it could put them into the queue', async () => {
    const { config, database } = await setUp(queue);
    const receiver = await startReceiver();
    const { id } = await makeEndpoint(database, receiver.url);
    const batch = handMadeBatch(1, [{ namespace: 'crashed', objects: [object('a'), object('b')] }]);
    // What it leaves behind then: the objects are stored, and nobody knows of it.
    await storeBatch(database, batch);
    await spawnWorker(config);
    await allDelivered(database, id, 2);
    // Their batch is still in the queue, and is stored once more; that makes no further events.
    const batches = openProvider(config).openQueue();
    onTestFinished(() => batches.close());
    await whenConnected(() =>
      batches.add({ ...batch, stamped: { stamp: batch.acceptedAt, acceptedAt: batch.acceptedAt } }),
    );
    await waitFor('an empty queue', async () => (await depthOf(batches)) === 0);
    await allDelivered(database, id, 2);
    expect(receiver.received).toHaveLength(2);
  });

  test('are finished where it is told to stop, and no more are begun', async () => {
    const { config, database } = await setUp(queue);
    const receiver = await startReceiver((response, received) => {
      setTimeout(() => answering(200)(response, received), 1_500);
    });
    const { id } = await makeEndpoint(database, receiver.url);
    const worker = await spawnWorker(config);
    await makeDeliveries(database, id, 100);
    await waitFor('ten webhooks', () => receiver.received.length === 10);
    const { code } = await worker.kill('SIGTERM');
    expect(code).toBe(0);
    const rows = await deliveriesOf(database, id);
    expect(rows.filter(({ status }) => status === 'succeeded')).toHaveLength(10);
    expect(rows.filter(({ tries }) => tries === 0)).toHaveLength(90);
    expect(receiver.received).toHaveLength(10);
  });

  test('are broken off where they take longer than a stop may, and count as not made', {
    timeout: 60_000,
  }, async () => {
    const { config, database } = await setUp(queue);
    const receiver = await startReceiver(() => undefined);
    const { id } = await makeEndpoint(database, receiver.url);
    const worker = await spawnWorker(config);
    await makeDeliveries(database, id, 1);
    await waitFor('the webhook', () => receiver.received.length === 1);
    const started = performance.now();
    const { code } = await worker.kill('SIGTERM');
    expect(code).toBe(0);
    expect(performance.now() - started).toBeLessThan(14_000);
    expect(await deliveriesOf(database, id)).toMatchObject([{ status: 'pending', tries: 0, attempts: [] }]);
    receiver.answer = answering(200);
    await spawnWorker(config);
    await allDelivered(database, id, 1);
  });

  test('are kept account of when Postgres is back, and are not sent once more', async () => {
    const { config, database } = await setUp(queue);
    const { port } = new URL(config.databaseUrl);
    const proxy = await startProxy(Number(port));
    onTestFinished(() => proxy.close());
    const url = new URL(config.databaseUrl);
    url.port = String(proxy.port);
    const { log, lines } = keptLog();
    const worker = await startWorker({ ...config, databaseUrl: url.href }, log, undefined);
    onTestFinished(() => worker.close());
    const answers: (() => void)[] = [];
    const receiver = await startReceiver((response, received) => {
      answers.push(() => answering(200)(response, received));
    });
    const { id } = await makeEndpoint(database, receiver.url);
    await makeDeliveries(database, id, 5);
    await waitFor('five webhooks', () => answers.length === 5);
    proxy.moveTo(await freePort());
    for (const answer of answers) answer();
    await waitFor('a line that tells so', () =>
      lines.some(({ msg }) => msg === 'could not keep what became of webhooks yet'),
    );
    proxy.moveTo(Number(port));
    await allDelivered(database, id, 5);
    expect(receiver.received).toHaveLength(5);
  });
});
