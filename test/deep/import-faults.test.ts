/** Imports while processes die, stop, or don't keep up. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import type { RuntimeConfig } from '../../src/runtime.ts';
import { describeOnBothQueues, startInlet } from '../support/fixtures.ts';
import type { ImportAnswer } from '../support/imports.ts';
import { lines, newImport, upload, uploaded } from '../support/imports.ts';
import { KEY } from '../support/inlet.ts';
import { query } from '../support/postgres.ts';
import { InletProcess } from '../support/process.ts';
import { depthOf, openProvider, whenConnected } from '../support/queues.ts';
import { waitFor } from '../support/wait-for.ts';

/** A process for one test. */
function start(role: string, { databaseUrl, redisUrl, redisPrefix }: RuntimeConfig): InletProcess {
  const child = new InletProcess([role], {
    ...{ DATABASE_URL: databaseUrl, INLET_API_KEYS: KEY, PORT: '0', INLET_WORKER_PORT: '0' },
    ...(redisUrl ? { REDIS_URL: redisUrl, INLET_REDIS_PREFIX: redisPrefix } : {}),
  });
  onTestFinished(() => child.close());
  return child;
}

async function begin(url: string, namespace: string): Promise<ImportAnswer> {
  const response = await fetch(`${url}/v1/data/${namespace}/import`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}` },
  });
  return (await response.json()) as ImportAnswer;
}

interface ImportRow {
  readonly status: string;
  readonly objects: number;
  readonly failed: number;
}

async function row(databaseUrl: string, requestId: string): Promise<ImportRow> {
  const [found] = await query(
    databaseUrl,
    `SELECT status, objects, failed FROM inlet.requests WHERE request_id = '${requestId}'`,
  );
  return found as unknown as ImportRow;
}

function done(databaseUrl: string, requestId: string): Promise<ImportRow> {
  return waitFor(
    'the import to be done',
    async () => {
      const found = await row(databaseUrl, requestId);
      return (found.status === 'succeeded' || found.status === 'failed') && found;
    },
    80_000,
  );
}

describeOnBothQueues('an import', (test) => {
  test('is complete, every object counted once, when its worker is killed', { timeout: 120_000 }, async ({
    config,
    databaseUrl,
  }) => {
    const api = start('api', config);
    const worker = start('worker', config);
    const { requestId, upload_url } = await begin(await api.apiUrl(), 'killed');
    await worker.logged('the worker runs');
    const total = 60_000;
    const sent = uploaded(upload_url, lines(total));
    await waitFor('a part of it', async () => (await row(databaseUrl, requestId)).objects >= 5_000);
    await worker.kill('SIGKILL');
    expect((await row(databaseUrl, requestId)).objects).toBeLessThan(total);
    start('worker', config);
    await sent;
    expect(await done(databaseUrl, requestId)).toEqual({ status: 'succeeded', objects: total, failed: 0 });
    const [stored] = await query(
      databaseUrl,
      `SELECT count(*)::int AS count, max(revision)::int AS revision FROM inlet.objects WHERE namespace = 'killed'`,
    );
    expect(stored).toEqual({ count: total, revision: 1 });
    const [listed] = await query(
      databaseUrl,
      `SELECT count(*)::int AS chunks, sum(jsonb_array_length(ids))::int AS ids FROM inlet.import_chunks
       WHERE request_id = '${requestId}'`,
    );
    expect(listed).toEqual({ chunks: total / 1_000, ids: total });
  });

  test('can be sent again to another API when the first is stopped', { timeout: 60_000 }, async ({
    config,
    databaseUrl,
  }) => {
    const first = start('api', config);
    start('worker', config);
    const { requestId, upload_url } = await begin(await first.apiUrl(), 'stopped');
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
    await waitFor('a part of it', async () => (await row(databaseUrl, requestId)).objects >= 3_000);
    const stopped = await first.kill('SIGTERM');
    expect(stopped.code).toBe(0);
    expect([503, 'broken']).toContain(await broken);
    feed?.error(new Error('over'));

    const { pathname, search } = new URL(upload_url);
    await uploaded((await start('api', config).apiUrl()) + pathname + search, lines(2_000));
    expect(await done(databaseUrl, requestId)).toEqual({ status: 'succeeded', objects: 2_000, failed: 0 });
  });

  test('waits while too much of it is in the queue, and goes on when there is room', async ({
    config,
    databaseUrl,
  }) => {
    const inlet = await startInlet(config, { workers: 0 });
    const queue = openProvider(inlet.config).openQueue();
    onTestFinished(() => queue.close());
    const { requestId, upload_url } = await newImport(inlet, 'deep');
    let answered = false;
    const sent = uploaded(upload_url, lines(100_000)).finally(() => {
      answered = true;
    });
    await waitFor('the queue to be full', async () => (await whenConnected(() => depthOf(queue))) >= 64);
    await delay(500);
    expect(await depthOf(queue)).toBeLessThanOrEqual(66);
    expect(answered).toBe(false);
    await inlet.addWorker();
    await sent;
    expect(await done(databaseUrl, requestId)).toEqual({ status: 'succeeded', objects: 100_000, failed: 0 });
  });

  test('does not hold up single writes that are sent meanwhile', async ({ config, databaseUrl }) => {
    const inlet = await startInlet({ ...config, workerConcurrency: 1 }, { workers: 0 });
    const { requestId, upload_url } = await newImport(inlet, 'bulk');
    await uploaded(upload_url, lines(50_000));
    const single = await inlet.write('single', '{"data":{"id":"a"}}');
    await inlet.addWorker();
    await inlet.done('single', single);
    expect((await row(databaseUrl, requestId)).objects).toBeLessThan(25_000);
    expect(await done(databaseUrl, requestId)).toEqual({ status: 'succeeded', objects: 50_000, failed: 0 });
  });
});
