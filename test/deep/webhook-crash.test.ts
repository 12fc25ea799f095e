/** No event is lost, whatever dies: workers in the middle of a delivery, or before anything was put into the queue. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { startWorker } from '../../src/roles/worker.ts';
import type { RuntimeConfig } from '../../src/runtime.ts';
import { Database } from '../../src/store/database.ts';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { eventually, TestInlet, testConfig } from '../support/inlet.ts';
import { keptLog } from '../support/log.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { InletProcess } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';
import { depthOf, describeOnBothQueues, openProvider, whenConnected } from '../support/queues.ts';
import { answering, deliveriesOf, makeDeliveries, makeEndpoint, Receiver } from '../support/receiver.ts';

describeOnBothQueues('webhooks of workers that die', ({ redisUrl }) => {
  let closers: (() => Promise<unknown>)[];
  let database: Database;
  let config: RuntimeConfig;
  let receiver: Receiver;

  beforeEach(async () => {
    closers = [];
    const created = await createTestDatabase();
    closers.push(created.drop);
    database = new Database({
      ...{ url: created.url, poolSize: 2, queryTimeoutMs: 20_000, onError: () => undefined },
    });
    closers.push(() => database.close());
    const overrides = { webhookAllowHttp: true, webhookAllowNetworks: ['127.0.0.0/8'] };
    config = testConfig({ databaseUrl: created.url, redisUrl }, overrides);
    receiver = await Receiver.start();
    closers.push(() => receiver.close());
  });

  afterEach(async () => {
    for (const close of closers.reverse()) await close();
  });

  /** Starts a worker as a process of its own. */
  async function spawnWorker(): Promise<InletProcess> {
    const worker = new InletProcess(['worker'], {
      DATABASE_URL: config.databaseUrl,
      ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
      INLET_REDIS_PREFIX: config.redisPrefix,
      INLET_WORKER_PORT: '0',
      INLET_WEBHOOK_ALLOW_HTTP: 'true',
      INLET_WEBHOOK_ALLOW_NETWORKS: '127.0.0.0/8',
    });
    closers.push(() => worker.close());
    await worker.logged('the worker runs');
    return worker;
  }

  async function allDelivered(endpointId: string, count: number): Promise<void> {
    await eventually(async () => {
      const rows = await deliveriesOf(database, endpointId);
      return rows.length === count && rows.every(({ status }) => status === 'succeeded') ? true : undefined;
    }, 60_000);
  }

  it('come from another one where it was killed in the middle of them', { timeout: 90_000 }, async () => {
    receiver.answer = (response, received) => {
      setTimeout(() => answering(200)(response, received), 20);
    };
    const { id } = await makeEndpoint(database, receiver.url);
    const inlet = await TestInlet.start(config, { workers: 0 });
    closers.push(() => inlet.close());
    const worker = await spawnWorker();
    const objects = (from: number) =>
      JSON.stringify({ data: Array.from({ length: 50 }, (_, i) => ({ id: `object-${from + i}` })) });
    await Promise.all([0, 50, 100, 150, 200, 250].map((from) => inlet.write('killed', objects(from))));
    await eventually(async () => (receiver.received.length >= 60 ? true : undefined));
    await worker.kill('SIGKILL');
    expect(receiver.ids.size).toBeLessThan(300);
    await spawnWorker();
    await allDelivered(id, 300);
    expect(receiver.ids.size).toBe(300);
    const objectIds = receiver.received.map(({ body }) => (JSON.parse(body) as { id: string }).id);
    expect(new Set(objectIds).size).toBe(300);
    // Only what was on its way, or not yet kept, came twice.
    expect(receiver.received.length).toBeLessThan(300 + 60);
  });

  it('come where it died after the commit, before it could put them into the queue', async () => {
    const { id } = await makeEndpoint(database, receiver.url);
    const batch = handMadeBatch(1, [{ namespace: 'crashed', objects: [object('a'), object('b')] }]);
    // What it leaves behind then: the objects are stored, and nobody knows of it.
    await storeBatch(database, batch);
    await spawnWorker();
    await allDelivered(id, 2);
    // Their batch is still in the queue, and is stored once more; that makes no further events.
    const queue = openProvider(config).openQueue();
    closers.push(() => queue.close());
    await whenConnected(() => queue.add({ ...batch, stampedAt: batch.acceptedAt }));
    await eventually(async () => ((await depthOf(queue)) === 0 ? true : undefined));
    await allDelivered(id, 2);
    expect(receiver.received).toHaveLength(2);
  });

  it('are finished where it is told to stop, and no more are begun', async () => {
    receiver.answer = (response, received) => {
      setTimeout(() => answering(200)(response, received), 1_500);
    };
    const { id } = await makeEndpoint(database, receiver.url);
    const worker = await spawnWorker();
    await makeDeliveries(database, id, 100);
    await eventually(async () => (receiver.received.length === 10 ? true : undefined));
    const { code } = await worker.kill('SIGTERM');
    expect(code).toBe(0);
    const rows = await deliveriesOf(database, id);
    expect(rows.filter(({ status }) => status === 'succeeded')).toHaveLength(10);
    expect(rows.filter(({ tries }) => tries === 0)).toHaveLength(90);
    expect(receiver.received).toHaveLength(10);
  });

  it('are broken off where they take longer than a stop may, and count as not made', {
    timeout: 60_000,
  }, async () => {
    receiver.answer = () => undefined;
    const { id } = await makeEndpoint(database, receiver.url);
    const worker = await spawnWorker();
    await makeDeliveries(database, id, 1);
    await eventually(async () => (receiver.received.length === 1 ? true : undefined));
    const started = performance.now();
    const { code } = await worker.kill('SIGTERM');
    expect(code).toBe(0);
    expect(performance.now() - started).toBeLessThan(14_000);
    expect(await deliveriesOf(database, id)).toMatchObject([{ status: 'pending', tries: 0, attempts: [] }]);
    receiver.answer = answering(200);
    await spawnWorker();
    await allDelivered(id, 1);
  });

  it('are kept account of when Postgres is back, and are not sent once more', async () => {
    const { port } = new URL(config.databaseUrl);
    const proxy = await startProxy(Number(port));
    closers.push(() => proxy.close());
    const url = new URL(config.databaseUrl);
    url.port = String(proxy.port);
    const { log, lines } = keptLog();
    const worker = await startWorker({ ...config, databaseUrl: url.href }, log, undefined);
    closers.push(() => worker.close());
    const answers: (() => void)[] = [];
    receiver.answer = (response, received) => {
      answers.push(() => answering(200)(response, received));
    };
    const { id } = await makeEndpoint(database, receiver.url);
    await makeDeliveries(database, id, 5);
    await eventually(async () => (answers.length === 5 ? true : undefined));
    proxy.moveTo(await freePort());
    for (const answer of answers) answer();
    await eventually(async () =>
      lines.some(({ msg }) => msg === 'could not keep what became of webhooks yet') ? true : undefined,
    );
    proxy.moveTo(Number(port));
    await allDelivered(id, 5);
    expect(receiver.received).toHaveLength(5);
  });
});
