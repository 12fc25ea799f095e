/** What clients see while the queue is too full, and that service resumes by itself. */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { Redis } from 'ioredis';
import { describe, expect, inject, onTestFinished } from 'vitest';
import { byLane } from '../../src/queue/lane.ts';
import type { BatchQueue } from '../../src/queue/queue.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { describeOnBothQueues, freshDatabase, inletTest, startInlet } from '../support/fixtures.ts';
import { lines, newImport, upload } from '../support/imports.ts';
import type { QueueName, TestInlet } from '../support/inlet.ts';
import { KEY, redisUrlOf, testConfig } from '../support/inlet.ts';
import type { KeptLog } from '../support/log.ts';
import { keptLog } from '../support/log.ts';
import { scrape, total } from '../support/prometheus.ts';
import { depthOf, openProvider, whenConnected } from '../support/queues.ts';
import { startRedis } from '../support/redis.ts';
import { waitFor } from '../support/wait-for.ts';

/** So many batches are too many. */
const HIGH_MARK = 5;

/** Checks that an answer is the one of a full queue, and what it says of when to come back. */
async function expectFull(response: Response): Promise<void> {
  const seconds = Number(response.headers.get('retry-after'));
  expect(response.status).toBe(503);
  expect(seconds).toBeGreaterThanOrEqual(1);
  expect(seconds).toBeLessThanOrEqual(60);
  expect(await response.json()).toMatchObject({
    status: 503,
    code: 'queue_full',
    detail: expect.stringMatching(new RegExp(`^the queue is full: try again in ${seconds} seconds?$`)),
    requestId: expect.stringMatching(/^req_/),
  });
}

/** An API that is soon full, its log, and its queue. */
interface Full {
  readonly inlet: TestInlet;
  readonly kept: KeptLog;
}

/** Waits until the API says that it refuses writes from now on, or takes them again. */
async function said({ kept: { lines } }: Full, message: string): Promise<void> {
  await waitFor(message, () => lines.some(({ msg }) => msg.includes(message)));
  lines.length = 0;
}

/** Writes more than the queue may hold, until writes are refused. @returns the ids of the requests that were taken */
async function fill(full: Full): Promise<string[]> {
  const { inlet } = full;
  const taken: string[] = [];
  for (let status = 202; status === 202 && taken.length < HIGH_MARK; ) {
    const response = await inlet.post('full', `{"data":{"id":"o${taken.length}"}}`);
    const { requestId } = (await response.json()) as { requestId: string };
    status = response.status;
    if (status === 202) taken.push(requestId);
  }
  await said(full, 'the queue is full');
  return taken;
}

async function ready(inlet: TestInlet): Promise<Record<string, unknown>> {
  const response = await fetch(`${inlet.url}/readyz`);
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

/** An API with a queue of its own, which is soon full. */
async function start(queueName: QueueName): Promise<Full & { queue: BatchQueue }> {
  const services = { databaseUrl: await freshDatabase(), redisUrl: redisUrlOf(queueName) };
  const config = testConfig(services, { queueHighMark: HIGH_MARK, queueLowMark: 3 });
  const kept = keptLog();
  const inlet = await startInlet(config, { workers: 0, apiLog: kept.log });
  const queue = openProvider(config).openQueue();
  onTestFinished(() => queue.close());
  await whenConnected(() => queue.load());
  return { inlet, kept, queue };
}

describeOnBothQueues('backpressure', (test, queueName) => {
  test('over the high mark refuses writes and new uploads, while reads, settings and deletes go on', async () => {
    const full = await start(queueName);
    const { inlet, queue } = full;
    const stopWorker = await inlet.addWorker();
    await inlet.done('full', await inlet.write('full', '{"data":[{"id":"there"},{"id":"unwanted"}]}'));
    expect(await ready(inlet)).toMatchObject({ writes: 'accepted' });
    await stopWorker();

    const { upload_url, requestId: importId } = await newImport(inlet, 'full');
    const taken = await fill(full);
    const deep = await depthOf(queue);
    expect(deep).toBeGreaterThanOrEqual(5);
    await expectFull(await inlet.post('full', '{"data":{"id":"refused"}}'));
    await expectFull(await upload(upload_url, lines(10)));
    expect(await depthOf(queue)).toBe(deep);

    // What was wrong before is still told.
    expect((await fetch(`${inlet.url}/v1/data/full`, { method: 'POST', body: '{}' })).status).toBe(401);
    expect((await inlet.post('not%20one', '{}')).status).toBe(400);

    const reads = ['objects/there', 'objects', 'requests', `requests/${taken[0]}`, 'objects/there/revisions'];
    for (const path of reads) expect((await inlet.fetch(`/v1/data/full/${path}`)).status, path).toBe(200);
    expect((await inlet.status('full', taken.at(-1) ?? '')).status).toBe('queued');
    const settings = { method: 'PUT', body: '{"schema":{"f":{"content_type":"card"}}}' };
    expect((await inlet.fetch('/v1/data/full/settings', settings)).status).toBe(200);
    expect((await inlet.fetch('/v1/data/full/settings')).status).toBe(200);
    const deleted = await inlet.fetch('/v1/data/full/objects/unwanted', { method: 'DELETE' });
    expect(deleted.status).toBe(202);
    const { requestId: deletion } = (await deleted.json()) as { requestId: string };

    const { status, writes, warnings } = await ready(inlet);
    expect({ status, writes }).toEqual({ status: 'ready', writes: 'refused' });
    expect(warnings).toContainEqual(expect.stringMatching(/the queue is full \(batches: \d+, the mark is 5/));

    // Nobody has to do anything but to drain it.
    await inlet.addWorker();
    await said(full, 'the queue has drained');
    expect((await inlet.post('full', '{"data":{"id":"taken"}}')).status).toBe(202);
    expect((await upload(upload_url, lines(10))).status).toBe(200);
    expect(await ready(inlet)).toMatchObject({ writes: 'accepted' });
    for (const id of [...taken, deletion, importId]) {
      expect((await inlet.done('full', id)).status).toBe('succeeded');
    }
    expect(await inlet.object('full', 'unwanted')).toBeUndefined();
    expect(await inlet.object('full', 'refused')).toBeUndefined();
  });

  test('lets an upload that has begun go on, however full the queue is', async () => {
    const full = await start(queueName);
    const { inlet, queue } = full;
    const { requestId, upload_url } = await newImport(inlet, 'full');
    let send: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        send = controller;
        controller.enqueue(new TextEncoder().encode(lines(1_500)));
      },
    });
    const sent = upload(upload_url, body);
    await waitFor('the first chunk', async () => (await queue.load()).depth.imports > 0);
    await fill(full);
    send?.enqueue(new TextEncoder().encode(lines(500, 'p')));
    send?.close();
    expect((await sent).status).toBe(200);
    await inlet.addWorker();
    expect((await inlet.done('full', requestId)).counts.stored).toBe(2_000);
  });
});

const test = inletTest();

/** For what is decided before the queue. */
const anyQueue = (): QueueName => (inject('redisUrl') === null ? 'postgres' : 'redis');

test('between the marks leaves things as they were', async () => {
  const full = await start(anyQueue());
  const { inlet, queue } = full;
  /** How many batches may be stored. */
  let allowance = 0;
  const consumer = openProvider(inlet.config).consume(
    async () => {
      await waitFor('leave to store a batch', () => allowance > 0);
      allowance -= 1;
    },
    { concurrency: byLane(() => 1), queue },
  );
  onTestFinished(() => {
    allowance = 1_000;
    return consumer.close(5_000);
  });
  const add = () => queue.add(handMadeBatch(0, [{ namespace: 'full', objects: [object('o')] }]));
  const drainTo = async (depth: number): Promise<void> => {
    allowance = 1;
    await waitFor(`a depth of ${depth}`, async () => (await depthOf(queue)) === depth);
  };
  /** Waits until the API has seen that it is so deep, and asks what that has changed. */
  const isAcceptedAt = async (depth: number): Promise<void> => {
    await waitFor('the API to look', async () => {
      return total(await scrape(inlet.url), 'inlet_queue_batches') === depth;
    });
    expect((await ready(inlet))['writes']).toBe('accepted');
  };
  for (let i = 0; i < 4; i += 1) await add();
  await isAcceptedAt(4);
  await add();
  await said(full, 'the queue is full');
  expect((await ready(inlet))['writes']).toBe('refused');
  await drainTo(4);
  const { writes } = await waitFor('the API to look', async () => {
    const found = await ready(inlet);
    return (
      (found['writes'] !== 'refused' || JSON.stringify(found['warnings']).includes('batches: 4')) && found
    );
  });
  expect(writes).toBe('refused');
  await drainTo(3);
  await said(full, 'the queue has drained');
  expect((await ready(inlet))['writes']).toBe('accepted');
  await add();
  await isAcceptedAt(4);
});

test('refuses before anything of a body has come', async () => {
  const full = await start(anyQueue());
  await fill(full);
  const { inlet } = full;
  const request = httpRequest(`${inlet.url}/v1/data/full`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${KEY}`,
      'content-type': 'application/json',
      'content-length': '100',
    },
  });
  request.flushHeaders();
  const [response] = await once(request, 'response');
  expect(response.statusCode).toBe(503);
  request.destroy();
});

describe.skipIf(inject('redisUrl') === null)("Redis's memory", () => {
  test('over its mark: writes are refused while a delete is still taken, until workers have drained it', async ({
    databaseUrl,
  }) => {
    // Batches are refused from half of this on, writes from nine tenths of that half.
    const redis = await startRedis({ args: ['--maxmemory', '12mb'] });
    onTestFinished(() => redis.stop());
    const client = new Redis(redis.url);
    onTestFinished(async () => void (await client.quit()));
    const used = async (): Promise<number> =>
      Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1]);
    const kept = keptLog();
    const config = testConfig({ databaseUrl, redisUrl: redis.url });
    const inlet = await startInlet(config, { workers: 0, apiLog: kept.log });

    const padding = 'x'.repeat(100_000);
    const taken: string[] = [];
    // What Redis uses may fall again, when it has written its file.
    await waitFor('the queue to be full', async () => {
      if (kept.lines.some(({ msg }) => msg.includes('the queue is full'))) return true;
      if ((await used()) >= 0.9 * 6 * 1024 ** 2) return false;
      const body = JSON.stringify({ data: { id: `large${taken.length}`, padding } });
      taken.push(await inlet.write('full', body));
      return false;
    });
    kept.lines.length = 0;
    await expectFull(await inlet.post('full', '{"data":{"id":"refused"}}'));
    const deleted = await inlet.fetch('/v1/data/full/objects/large0', { method: 'DELETE' });
    expect(deleted.status).toBe(202);
    const { writes, warnings } = await ready(inlet);
    expect(writes).toBe('refused');
    expect(warnings).toContainEqual(expect.stringMatching(/Redis uses 5\.\d of 6\.0 MiB/));

    await inlet.addWorker();
    await said({ inlet, kept }, 'the queue has drained');
    expect((await inlet.post('full', '{"data":{"id":"taken"}}')).status).toBe(202);
    for (const requestId of taken) expect((await inlet.done('full', requestId)).status).toBe('succeeded');
  });
});
