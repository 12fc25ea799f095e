/** What clients see while the queue is too full, and that service resumes by itself. */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import type { BatchQueue } from '../../src/queue/queue.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { lines, newImport, upload } from '../support/imports.ts';
import { eventually, KEY, TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase } from '../support/postgres.ts';
import { depthOf, describeOnBothQueues, openProvider, whenConnected } from '../support/queues.ts';
import { startRedis } from '../support/redis.ts';

let closers: (() => Promise<unknown>)[];
let databaseUrl: string;

beforeEach(async () => {
  const database = await createTestDatabase();
  databaseUrl = database.url;
  closers = [() => database.drop()];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

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

/** Writes until a write is answered with this status; resolves to the ids of the requests that were taken. */
async function writeUntil(inlet: TestInlet, status: number): Promise<string[]> {
  const taken: string[] = [];
  await eventually(async () => {
    const response = await inlet.post('full', `{"data":{"id":"o${taken.length}"}}`);
    const { requestId } = (await response.json()) as { requestId: string };
    if (response.status === 202) taken.push(requestId);
    return response.status === status || undefined;
  });
  return taken;
}

async function ready(inlet: TestInlet): Promise<Record<string, unknown>> {
  const response = await fetch(`${inlet.url}/readyz`);
  expect(response.status).toBe(200);
  return (await response.json()) as Record<string, unknown>;
}

describeOnBothQueues('backpressure', ({ redisUrl }) => {
  async function start(): Promise<{ inlet: TestInlet; queue: BatchQueue }> {
    const config = testConfig({ databaseUrl, redisUrl }, { queueHighMark: 5, queueLowMark: 3 });
    const inlet = await TestInlet.start(config, { workers: 0 });
    closers.push(() => inlet.close());
    const queue = openProvider(config).openQueue();
    closers.push(() => queue.close());
    await whenConnected(() => queue.load());
    return { inlet, queue };
  }

  it('over the high mark refuses writes and new uploads, while reads, settings and deletes go on', async () => {
    const { inlet, queue } = await start();
    const stopWorker = await inlet.addWorker();
    await inlet.done('full', await inlet.write('full', '{"data":[{"id":"there"},{"id":"unwanted"}]}'));
    expect(await ready(inlet)).toMatchObject({ writes: 'accepted' });
    await stopWorker();

    const { upload_url, requestId: importId } = await newImport(inlet, 'full');
    const taken = await writeUntil(inlet, 503);
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
    await writeUntil(inlet, 202);
    expect((await upload(upload_url, lines(10))).status).toBe(200);
    expect(await ready(inlet)).toMatchObject({ writes: 'accepted' });
    for (const id of [...taken, deletion, importId]) {
      expect((await inlet.done('full', id)).status).toBe('succeeded');
    }
    expect(await inlet.object('full', 'unwanted')).toBeUndefined();
    expect(await inlet.object('full', 'refused')).toBeUndefined();
  });

  it('refuses before anything of a body has come', async () => {
    const { inlet } = await start();
    await writeUntil(inlet, 503);
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

  it('between the marks leaves things as they were', async () => {
    const { inlet, queue } = await start();
    /** How many batches may be stored. */
    let allowance = 0;
    const consumer = openProvider(inlet.config).consume(
      async () => {
        await eventually(async () => allowance > 0 || undefined);
        allowance -= 1;
      },
      { concurrency: 1, importConcurrency: 1 },
    );
    closers.push(() => consumer.close(5_000));
    closers.push(async () => {
      allowance = 1_000;
    });
    const add = () => queue.add(handMadeBatch(0, [{ namespace: 'full', objects: [object('o')] }]));
    const drainTo = async (depth: number): Promise<void> => {
      allowance = 1;
      await eventually(async () => (await depthOf(queue)) === depth || undefined);
    };
    const becomes = async (writes: string): Promise<void> => {
      await eventually(async () => (await ready(inlet))['writes'] === writes || undefined);
    };
    /** Looks twice as long as it takes the API to notice anything. */
    const staysAccepted = async (): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 2_200));
      expect((await ready(inlet))['writes']).toBe('accepted');
    };
    for (let i = 0; i < 4; i += 1) await add();
    await staysAccepted();
    await add();
    await becomes('refused');
    await drainTo(4);
    await eventually(async () => {
      const { writes, warnings } = await ready(inlet);
      expect(writes).toBe('refused');
      return JSON.stringify(warnings).includes('batches: 4') || undefined;
    });
    await drainTo(3);
    await becomes('accepted');
    await add();
    await staysAccepted();
  });

  it('lets an upload that has begun go on, however full the queue is', async () => {
    const { inlet, queue } = await start();
    const { requestId, upload_url } = await newImport(inlet, 'full');
    let send: ReadableStreamDefaultController<Uint8Array> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        send = controller;
        controller.enqueue(new TextEncoder().encode(lines(1_500)));
      },
    });
    const sent = upload(upload_url, body);
    await eventually(async () => ((await queue.load()).depth.imports > 0 ? true : undefined));
    await writeUntil(inlet, 503);
    send?.enqueue(new TextEncoder().encode(lines(500, 'p')));
    send?.close();
    expect((await sent).status).toBe(200);
    await inlet.addWorker();
    expect((await inlet.done('full', requestId)).counts.stored).toBe(2_000);
  });
});

describe.skipIf(inject('redisUrl') === null)("Redis's memory", () => {
  it('over its mark: writes are refused while a delete is still taken, until workers have drained it', async () => {
    // Batches are refused from half of this on, writes from nine tenths of that half.
    const redis = await startRedis({ args: ['--maxmemory', '24mb'] });
    closers.push(() => redis.stop());
    const client = new Redis(redis.url);
    closers.push(() => client.quit());
    const used = async (): Promise<number> =>
      Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1]);
    const inlet = await TestInlet.start(testConfig({ databaseUrl, redisUrl: redis.url }), { workers: 0 });
    closers.push(() => inlet.close());

    const padding = 'x'.repeat(200_000);
    const taken: string[] = [];
    while ((await used()) < 0.9 * 12 * 1024 ** 2) {
      taken.push(
        await inlet.write('full', JSON.stringify({ data: { id: `large${taken.length}`, padding } })),
      );
    }
    await writeUntil(inlet, 503);
    await expectFull(await inlet.post('full', '{"data":{"id":"refused"}}'));
    const deleted = await inlet.fetch('/v1/data/full/objects/large0', { method: 'DELETE' });
    expect(deleted.status).toBe(202);
    const { writes, warnings } = await ready(inlet);
    expect(writes).toBe('refused');
    expect(warnings).toContainEqual(expect.stringMatching(/Redis uses 1[01]\.\d of 12\.0 MiB/));

    await inlet.addWorker();
    await writeUntil(inlet, 202);
    for (const requestId of taken) expect((await inlet.done('full', requestId)).status).toBe('succeeded');
  });
});
