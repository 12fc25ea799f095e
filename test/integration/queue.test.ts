/** What the queue promises to the rest of Inlet, the same on both backends. */
import { randomUUID } from 'node:crypto';
import { expect } from 'vitest';
import type { Batch } from '../../src/domain/batch.ts';
import { REPLAY_VERSION } from '../../src/domain/batch.ts';
import { createBatchIds } from '../../src/domain/request-id.ts';
import { byLane } from '../../src/queue/lane.ts';
import type { BatchConsumer, BatchHandler } from '../../src/queue/queue.ts';
import { HandedBackError } from '../../src/queue/queue.ts';
import type { QueueConfig } from '../../src/runtime.ts';
import { handMadeBatch, newBatchId, object, seededRandom, shuffled } from '../support/batches.ts';
import { describeOnBothQueues } from '../support/fixtures.ts';
import { depthOf, openProvider, whenConnected } from '../support/queues.ts';
import { waitFor } from '../support/wait-for.ts';

/** A queue that nobody else uses. */
async function openOwnQueue(config: QueueConfig) {
  const provider = openProvider(config, `test-${randomUUID()}`);
  const queue = provider.openQueue();
  const consumers: BatchConsumer[] = [];
  await whenConnected(() => depthOf(queue));
  return {
    provider,
    queue,
    consume(handler: BatchHandler, concurrency = 2): void {
      consumers.push(provider.consume(handler, { concurrency: byLane(() => concurrency), queue }));
    },
    emptied: () => waitFor('the queue to be empty', async () => (await depthOf(queue)) === 0),
    async close(): Promise<void> {
      for (const consumer of consumers) await consumer.close(5_000);
      await queue.close();
    },
  };
}

const chunkOf = (batch: Batch, chunk: number): Batch => {
  const part = { requestId: 'req_1', upload: 1, chunk, lines: [1], rejected: [] };
  return { ...batch, requests: batch.requests.map((request) => ({ ...request, import: part })) };
};

const replayOf = (batch: Batch): Batch => ({
  ...batch,
  ...{ version: REPLAY_VERSION, requests: [], objects: '' },
  replay: { namespace: 'n', order: 'original', failedBefore: 1 },
});

const sample = (): Batch => handMadeBatch(0, [{ namespace: 'n', objects: [object('a')] }]);

/** A batch that got its id some time ago. */
const made = (secondsAgo: number): Batch => ({
  ...sample(),
  id: createBatchIds(() => Date.now() - secondsAgo * 1_000)(),
});

/** Checks the age of a batch that was so many seconds old at a moment of `performance.now()`. */
function expectAge(ageMs: number, seconds: number, at: number): void {
  const passedMs = performance.now() - at;
  expect(ageMs).toBeGreaterThanOrEqual(seconds * 1_000);
  expect(ageMs).toBeLessThan(seconds * 1_000 + passedMs + 1_000);
}

// At the same time, as each has a queue of its own: they wait for their batches to be due again.
describeOnBothQueues('the queue', (plain, queueName) => {
  const { concurrent: test } = plain.extend('own', async ({ config }, { onCleanup }) => {
    const own = await openOwnQueue(config);
    onCleanup(() => own.close());
    return own;
  });

  test('hands a batch to a consumer with its text to the letter, and then it is gone', async ({
    own: { queue, consume, emptied },
  }) => {
    const text = '{"id": "a",  "v":[1.0, 9007199254740993, "\\u00e9 \\" \\\\ 😀 \\ud83d\\ude00"]}';
    const batch = handMadeBatch(0, [{ namespace: 'n', objects: [['a', text]] }]);
    const seen: Batch[] = [];
    await queue.add(batch);
    expect(await depthOf(queue)).toBe(1);
    consume(async (received) => {
      seen.push(received);
    });
    await emptied();
    expect(seen).toEqual([{ ...batch, acceptedAt: expect.any(Number), stamp: expect.any(Number) }]);
    expect(await queue.find(batch.id)).toBeUndefined();
  });

  test("stamps batches with the server's clock in microseconds, each later than the one before", async ({
    own: { queue },
  }) => {
    const before = Date.now() * 1_000;
    const batches = [sample(), sample(), sample()];
    for (const batch of batches) await queue.add(batch);
    const found = await Promise.all(batches.map(({ id }) => queue.find(id)));
    const stamps = found.map((batch) => batch?.acceptedAt ?? 0);
    expect(stamps).toEqual([...new Set(stamps)].sort((a, b) => a - b));
    expect(Math.abs((stamps[0] ?? 0) - before)).toBeLessThan(10_000_000);
  });

  test('finds a batch by its id as soon as it was added, and tells when a worker has begun', async ({
    own: { queue, consume, emptied },
  }) => {
    const batch = sample();
    expect(await queue.find(newBatchId())).toBeUndefined();
    await queue.add(batch);
    expect(await queue.find(batch.id)).toMatchObject({ requests: batch.requests, started: false });
    let finish: (() => void) | undefined;
    consume(
      () =>
        new Promise((resolve) => {
          finish = resolve;
        }),
    );
    const done = await waitFor('the handler to begin', () => finish);
    expect(await queue.find(batch.id)).toMatchObject({ started: true });
    done();
    await emptied();
  });

  test('names the batches that are not done, newest first, whatever state they are in', async ({
    own: { queue, consume, emptied },
  }) => {
    expect(await queue.batchIds()).toEqual([]);
    const batches = Array.from({ length: 5 }, sample);
    for (const batch of shuffled(batches, seededRandom(1))) await queue.add(batch);
    const newestFirst = batches.map(({ id }) => id).reverse();
    expect(await queue.batchIds()).toEqual(newestFirst);
    let mended = false;
    const handed = new Set<string>();
    consume(async ({ id }) => {
      handed.add(id);
      // Two fail and wait for their next attempt, two are being worked on, and one waits for its turn.
      if (handed.size <= 2 && !mended) throw new Error('not now');
      await waitFor('leave to go on', () => mended);
    });
    await waitFor('four to be in hand', () => handed.size === 4);
    expect(await queue.batchIds()).toEqual(newestFirst);
    mended = true;
    await emptied();
    expect(await queue.batchIds()).toEqual([]);
  });

  test('tells how much is in it, and how old the oldest of it is, whatever state it is in', async ({
    own: { queue, consume, emptied },
  }) => {
    expect(await queue.load()).toEqual({
      depth: { writes: 0, imports: 0, replays: 0 },
      oldestAgeMs: 0,
      clockBehindMs: 0,
      memory: undefined,
    });
    const [oldest, second, third] = [made(3_000), made(2_000), made(1_000)];
    const begun = performance.now();
    for (const batch of [oldest, second, third, sample()]) await queue.add(batch);
    await queue.add(chunkOf(made(500), 0));
    await queue.add(replayOf(made(500)));
    expect((await queue.load()).depth).toEqual({ writes: 4, imports: 1, replays: 1 });
    expectAge((await queue.load()).oldestAgeMs, 3_000, begun);

    let mended = false;
    const done: string[] = [];
    consume(async ({ id, requests: [request] }) => {
      // The oldest fails and is due again, the third is in hand when the second is done, and so is the chunk.
      if (id === oldest.id && !mended) throw new Error('not now');
      if (id === third.id || !request || request.import) await waitFor('leave to go on', () => mended);
      done.push(id);
    }, 1);
    await waitFor('the second to be done', async () => (await queue.load()).depth.writes === 3);
    expect(done).toEqual([second.id]);
    expect((await queue.load()).depth).toEqual({ writes: 3, imports: 1, replays: 1 });
    expectAge((await queue.load()).oldestAgeMs, 3_000, begun);
    mended = true;
    await emptied();
    expect((await queue.load()).oldestAgeMs).toBe(0);
  });

  test('finds the oldest in a long line', async ({ own: { queue } }) => {
    const begun = performance.now();
    await queue.add(made(3_000));
    for (let n = 0; n < 300; n += 1) await queue.add(made(3));
    const { depth, oldestAgeMs } = await queue.load();
    expect(depth.writes).toBe(301);
    expectAge(oldestAgeMs, 3_000, begun);
  });

  test('takes a batch that is added twice once', async ({ own: { queue } }) => {
    const batch = sample();
    await queue.add(batch);
    await queue.add(batch);
    expect(await depthOf(queue)).toBe(1);
  });

  test('keeps a batch whose handler fails, and hands it out again', async ({
    own: { queue, consume, emptied },
  }) => {
    const batch = sample();
    const attempts: unknown[] = [];
    await queue.add(batch);
    consume(async ({ id, isRetried }) => {
      attempts.push([id, isRetried]);
      if (attempts.length < 3) throw new Error('not now');
    });
    await emptied();
    expect(attempts).toEqual([
      [batch.id, undefined],
      [batch.id, true],
      [batch.id, true],
    ]);
  });

  test('lets other batches pass one that fails', async ({ own: { queue, consume, emptied } }) => {
    const [bad, good] = [sample(), sample()];
    const done: string[] = [];
    let mended = false;
    await queue.add(bad);
    await queue.add(good);
    consume(async ({ id }) => {
      if (id === bad.id && !mended) throw new Error('not now');
      done.push(id);
    }, 1);
    await waitFor('the good one', () => done.includes(good.id));
    expect(await queue.find(bad.id)).toMatchObject({ started: true });
    mended = true;
    await emptied();
    expect(done).toEqual([good.id, bad.id]);
  });

  test('lets no batch wait for chunks of imports', async ({ own: { queue, consume, emptied } }) => {
    const chunks = [0, 1, 2].map((n) => chunkOf(sample(), n));
    const writes = [sample(), sample()];
    for (const batch of [...chunks, ...writes]) await queue.add(batch);
    expect(await queue.importBacklog()).toBe(3);
    expect(await depthOf(queue)).toBe(5);
    const seen: string[] = [];
    let release: (() => void) | undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    consume(async (batch) => {
      if (batch.requests[0]?.import) await held;
      seen.push(batch.id);
    }, 1);
    await waitFor('both writes', () => seen.length === 2);
    expect(seen).toEqual(writes.map(({ id }) => id));
    release?.();
    await emptied();
    expect(seen).toEqual([...writes, ...chunks].map(({ id }) => id));
    expect(await queue.importBacklog()).toBe(0);
  });

  test('counts chunks of imports until they are stored, also those that fail', async ({
    own: { queue, consume, emptied },
  }) => {
    let mended = false;
    consume(async ({ requests: [request] }) => {
      if (request?.import?.chunk === 0 && !mended) throw new Error('not now');
      await waitFor('leave to go on', () => mended);
    });
    await queue.add(chunkOf(sample(), 0));
    // It is due again after a second at the earliest.
    await waitFor('it to fail', async () => (await queue.takeable('imports')) === 0);
    await queue.add(chunkOf(sample(), 1));
    await waitFor('the other to be in hand', async () => (await queue.takeable('imports')) === 0);
    expect(await queue.importBacklog()).toBe(2);
    mended = true;
    await emptied();
    expect(await queue.importBacklog()).toBe(0);
  });

  test('keeps the stamp that a batch brings along', async ({ own: { queue } }) => {
    const batch = sample();
    await queue.add({ ...batch, stamped: { stamp: 1_234_568, acceptedAt: 1_234_567 } });
    expect(await queue.find(batch.id)).toMatchObject({ acceptedAt: 1_234_567 });
    const { stamp, acceptedAt } = await queue.stamp();
    expect(Math.abs(acceptedAt - Date.now() * 1_000)).toBeLessThan(10_000_000);
    expect(stamp).toBeGreaterThanOrEqual(acceptedAt);
  });

  test('gives a batch that is handed back on closing to the next consumer at once', async ({
    own: { provider, queue, consume, emptied },
  }) => {
    const batch = sample();
    await queue.add(batch);
    let begun = false;
    const first = provider.consume(
      (_batch, stopping) =>
        new Promise((_resolve, reject) => {
          begun = true;
          stopping.addEventListener('abort', () => reject(new HandedBackError('stopping')));
        }),
      { concurrency: byLane(() => 1), queue },
    );
    await waitFor('the handler to begin', () => begun);
    await first.close(5_000);
    const seen: string[] = [];
    consume(async ({ id }) => {
      seen.push(id);
    });
    await emptied();
    expect(seen).toEqual([batch.id]);
  });

  test('waits on closing for the batch in hand', async ({ own: { provider, queue } }) => {
    await queue.add(sample());
    let begun = false;
    let finished = false;
    const consumer = provider.consume(
      async () => {
        begun = true;
        await new Promise((resolve) => {
          setTimeout(resolve, 300);
        });
        finished = true;
      },
      { concurrency: byLane(() => 1), queue },
    );
    await waitFor('the handler to begin', () => begun);
    await consumer.close(5_000);
    expect(finished).toBe(true);
    expect(await depthOf(queue)).toBe(0);
  });

  test('shares batches among consumers, each batch going to one', async ({
    own: { queue, consume, emptied },
  }) => {
    const seen: string[] = [];
    const record: BatchHandler = async ({ id }) => {
      seen.push(id);
    };
    consume(record);
    consume(record);
    const batches = Array.from({ length: 50 }, sample);
    await Promise.all(batches.map((batch) => queue.add(batch)));
    await emptied();
    expect(seen.sort()).toEqual(batches.map(({ id }) => id).sort());
  });

  test('says that it is up, and finds nothing weak in a durable server', async ({ own: { queue } }) => {
    expect(await queue.isUp()).toBe(true);
    // The suite's Postgres runs without fsync for speed, and that is what must be noticed there.
    const found = (await queue.weaknesses()).map((line) => line.replace(/^Postgres has (\w+) off.*/, '$1'));
    expect(found.sort()).toEqual(
      queueName === 'redis' ? [] : ['fsync', 'full_page_writes', 'synchronous_commit'],
    );
  });
});
