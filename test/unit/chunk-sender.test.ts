import { describe, expect, it, vi } from 'vitest';
import { createBatchIds } from '../../src/domain/request-id.ts';
import { Turns } from '../../src/domain/turns.ts';
import { ChunkSender } from '../../src/ingest/chunk-sender.ts';
import type { UnstampedBatch } from '../../src/queue/queue.ts';
import { QueueUnavailableError } from '../../src/queue/queue.ts';
import { HeldSink, settled, stateOf } from './held-sink.ts';

const UPLOAD = {
  requestId: 'req_1',
  namespace: 'n',
  upload: 3,
  stamped: { stamp: 1_001, acceptedAt: 1_000 },
};

const chunk = (id: string) => ({ ids: [id], lines: [7], objects: `{"id":"${id}"}`, rejected: [] });

class Queue extends HeldSink {
  waiting = 0;
  importBacklog = async (): Promise<number> => this.waiting;
}

function setUp(enqueueing = new Turns(10)) {
  const queue = new Queue();
  const stop = new AbortController();
  const deps = { queue, newBatchId: createBatchIds(), enqueueing };
  return { queue, stop, sender: new ChunkSender(deps, UPLOAD, stop.signal) };
}

describe('ChunkSender', () => {
  it('sends chunks under the id of the request, numbered, and all with its stamp', async () => {
    const { queue, sender } = setUp();
    await sender.send(chunk('a'));
    void sender.send(chunk('b'));
    await settled();
    expect(queue.batches.map(({ requests, stamped }) => [requests, stamped])).toEqual(
      ['a', 'b'].map((id, i) => [
        [
          {
            namespace: 'n',
            ids: [id],
            import: { requestId: 'req_1', upload: 3, chunk: i, lines: [7], rejected: [] },
          },
        ],
        UPLOAD.stamped,
      ]),
    );
    expect(new Set(queue.batches.map(({ id }) => id)).size).toBe(2);
    await queue.storeAll();
    await sender.finish();
    expect(sender.sent).toBe(2);
  });

  it('waits until a chunk of one long line is in the queue', async () => {
    const { queue, sender } = setUp();
    const long = sender.send({ ...chunk('a'), objects: `{"id":"a","v":"${'x'.repeat(1024 * 1024)}"}` });
    await settled();
    expect(await stateOf(long)).toBe('pending');
    await queue.storeAll();
    await long;
  });

  it('adds at most so many at one time as all uploads together may', async () => {
    const enqueueing = new Turns(1);
    const first = setUp(enqueueing);
    const second = setUp(enqueueing);
    await first.sender.send(chunk('a'));
    await second.sender.send(chunk('b'));
    await settled();
    expect(first.queue.batches).toHaveLength(1);
    expect(second.queue.batches).toHaveLength(0);
    await first.queue.storeAll();
    await first.sender.finish();
    await settled();
    expect(second.queue.batches).toHaveLength(1);
    await second.queue.storeAll();
    await second.sender.finish();
  });

  it('has at most two on their way', async () => {
    const { queue, sender } = setUp();
    await sender.send(chunk('a'));
    const second = sender.send(chunk('b'));
    expect(await stateOf(second)).toBe('pending');
    queue.store();
    expect(await stateOf(second)).toBe('fulfilled');
  });

  it('waits while the queue is deep', async () => {
    const { queue, sender } = setUp();
    queue.waiting = 64;
    await sender.send(chunk('a'));
    await settled();
    expect(queue.batches).toHaveLength(0);
    queue.waiting = 63;
    await vi.waitFor(() => expect(queue.batches).toHaveLength(1));
  });

  it('sends the same batch again while the queue is away', async () => {
    const { queue, sender } = setUp();
    await sender.send(chunk('a'));
    await settled();
    queue.fail(new QueueUnavailableError('away'));
    await vi.waitFor(() => expect(queue.batches).toHaveLength(2));
    const [first, second] = queue.batches as [UnstampedBatch, UnstampedBatch];
    expect(second).toEqual(first);
    queue.store();
    await sender.finish();
  });

  it('fails at once with anything else, also the calls that come after', async () => {
    const { queue, sender } = setUp();
    await sender.send(chunk('a'));
    await settled();
    const bug = new TypeError('x');
    queue.fail(bug);
    await expect(sender.finish()).rejects.toBe(bug);
    await expect(sender.send(chunk('b'))).rejects.toBe(bug);
  });

  it('stops waiting for the queue with the reason of the signal', async () => {
    const { queue, sender, stop } = setUp();
    queue.waiting = 1_000;
    await sender.send(chunk('a'));
    const reason = new Error('the client has gone');
    stop.abort(reason);
    await expect(sender.finish()).rejects.toBe(reason);
    expect(queue.batches).toHaveLength(0);
  });
});
