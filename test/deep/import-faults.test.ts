/** Imports while processes die, stop, or don't keep up. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ImportAnswer } from '../support/imports.ts';
import { lines, newImport, upload, uploaded } from '../support/imports.ts';
import { eventually, KEY, TestInlet, testConfig } from '../support/inlet.ts';
import { createTestDatabase, query } from '../support/postgres.ts';
import { InletProcess } from '../support/process.ts';
import { depthOf, describeOnBothQueues, openProvider, whenConnected } from '../support/queues.ts';

describeOnBothQueues('an import', ({ redisUrl }) => {
  let databaseUrl: string;
  let closers: (() => Promise<unknown>)[];

  beforeEach(async () => {
    const created = await createTestDatabase();
    databaseUrl = created.url;
    closers = [() => created.drop()];
  });

  afterEach(async () => {
    for (const close of closers.reverse()) await close();
  });

  function start(role: string): InletProcess {
    const child = new InletProcess([role], {
      DATABASE_URL: databaseUrl,
      INLET_API_KEYS: KEY,
      PORT: '0',
      INLET_WORKER_PORT: '0',
      INLET_REDIS_PREFIX: `imports-${databaseUrl.split('_').at(-1)}`,
      ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
    });
    closers.push(() => child.close());
    return child;
  }

  async function begin(url: string): Promise<ImportAnswer> {
    const response = await fetch(`${url}/v1/data/faults/import`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}` },
    });
    return (await response.json()) as ImportAnswer;
  }

  async function row(requestId: string): Promise<{ status: string; objects: number; failed: number }> {
    const [found] = await query(
      databaseUrl,
      `SELECT status, objects, failed FROM inlet.requests WHERE request_id = '${requestId}'`,
    );
    return found as { status: string; objects: number; failed: number };
  }

  const done = (requestId: string) =>
    eventually(async () => {
      const found = await row(requestId);
      return found.status === 'succeeded' || found.status === 'failed' ? found : undefined;
    }, 80_000);

  it('is complete, every object counted once, when its worker is killed', { timeout: 120_000 }, async () => {
    const api = start('api');
    const worker = start('worker');
    const { requestId, upload_url } = await begin(await api.apiUrl());
    await worker.logged('the worker runs');
    const total = 60_000;
    const sent = uploaded(upload_url, lines(total));
    await eventually(async () => ((await row(requestId)).objects >= 5_000 ? true : undefined));
    await worker.kill('SIGKILL');
    expect((await row(requestId)).objects).toBeLessThan(total);
    start('worker');
    await sent;
    expect(await done(requestId)).toEqual({ status: 'succeeded', objects: total, failed: 0 });
    const [stored] = await query(
      databaseUrl,
      `SELECT count(*)::int AS count, max(revision)::int AS revision FROM inlet.objects`,
    );
    expect(stored).toEqual({ count: total, revision: 1 });
    const [listed] = await query(
      databaseUrl,
      `SELECT count(*)::int AS chunks, sum(jsonb_array_length(ids))::int AS ids FROM inlet.import_chunks`,
    );
    expect(listed).toEqual({ chunks: total / 1_000, ids: total });
  });

  it('can be sent again to another API when the first is stopped', { timeout: 60_000 }, async () => {
    const first = start('api');
    start('worker');
    const { requestId, upload_url } = await begin(await first.apiUrl());
    let feed: ReadableStreamDefaultController<Uint8Array> | undefined;
    const file = new ReadableStream<Uint8Array>({
      start(controller) {
        feed = controller;
        controller.enqueue(Buffer.from(lines(3_500)));
      },
    });
    const broken = upload(upload_url, file).then(
      ({ status }) => status,
      () => 'broken',
    );
    await eventually(async () => ((await row(requestId)).objects >= 3_000 ? true : undefined));
    const stopped = await first.kill('SIGTERM');
    expect(stopped.code).toBe(0);
    expect([503, 'broken']).toContain(await broken);
    feed?.error(new Error('over'));

    const { pathname, search } = new URL(upload_url);
    await uploaded((await start('api').apiUrl()) + pathname + search, lines(2_000));
    expect(await done(requestId)).toEqual({ status: 'succeeded', objects: 2_000, failed: 0 });
  });

  it('waits while too much of it is in the queue, and goes on when there is room', async () => {
    const inlet = await TestInlet.start(testConfig({ databaseUrl, redisUrl }), { workers: 0 });
    closers.push(() => inlet.close());
    const queue = openProvider(inlet.config).openQueue();
    closers.push(() => queue.close());
    const { requestId, upload_url } = await newImport(inlet, 'deep');
    let answered = false;
    const sent = uploaded(upload_url, lines(100_000)).finally(() => {
      answered = true;
    });
    await eventually(async () => ((await whenConnected(() => depthOf(queue))) >= 64 ? true : undefined));
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await depthOf(queue)).toBeLessThanOrEqual(66);
    expect(answered).toBe(false);
    await inlet.addWorker();
    await sent;
    expect(await done(requestId)).toEqual({ status: 'succeeded', objects: 100_000, failed: 0 });
  });

  it('does not hold up single writes that are sent meanwhile', async () => {
    const config = testConfig({ databaseUrl, redisUrl }, { workerConcurrency: 1 });
    const inlet = await TestInlet.start(config, { workers: 0 });
    closers.push(() => inlet.close());
    const { requestId, upload_url } = await newImport(inlet, 'bulk');
    await uploaded(upload_url, lines(50_000));
    const single = await inlet.write('single', '{"data":{"id":"a"}}');
    await inlet.addWorker();
    await inlet.done('single', single);
    expect((await row(requestId)).objects).toBeLessThan(25_000);
    expect(await done(requestId)).toEqual({ status: 'succeeded', objects: 50_000, failed: 0 });
  });
});
