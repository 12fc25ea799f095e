import { afterEach, describe, expect, it, vi } from 'vitest';
import { createBatchIds, locateRequest, requestIdAt } from '../../src/domain/request-id.ts';
import type { BatchSink } from '../../src/ingest/group-commit.ts';
import { GroupCommit } from '../../src/ingest/group-commit.ts';
import { QueueUnavailableError } from '../../src/queue/queue.ts';
import { fillFlight, lingered, settled, setUp, stateOf, turn, useFakeClock } from './held-sink.ts';

const MIB = 1024 * 1024;

afterEach(() => {
  vi.useRealTimers();
});

describe('a request', () => {
  it('is sent at once when nothing is in flight', async () => {
    const { sink, submit } = setUp();
    submit('a');
    await settled();
    expect(sink.contents()).toEqual([['a']]);
  });

  it('is answered when its batch is on disk, and not before', async () => {
    const { sink, submit } = setUp();
    const answer = submit('a');
    expect(await stateOf(answer)).toBe('pending');
    sink.store();
    expect(await answer).toBe(requestIdAt(sink.batches[0]?.id ?? '', 0));
  });

  it('reaches the queue with its namespace, ids and text, and nothing else', async () => {
    const { sink, commit } = setUp();
    const answers = [
      commit.submit({ namespace: 'x', ids: ['a', 'b'], objects: '{"id":"a"} , {"id":"b"}', bytes: 20 }),
      commit.submit({ namespace: 'y', ids: ['a'], objects: '{"id":"a","n":1.0}', bytes: 20 }),
    ];
    await settled();
    const [batch] = sink.batches;
    expect(batch).toEqual({
      id: expect.stringMatching(/^[0-9a-z]{23}000$/),
      requests: [
        { namespace: 'x', ids: ['a', 'b'] },
        { namespace: 'y', ids: ['a'] },
      ],
      objects: '{"id":"a"} , {"id":"b"},{"id":"a","n":1.0}',
    });
    sink.store();
    expect((await Promise.all(answers)).map(locateRequest)).toEqual([
      { batchId: batch?.id, position: 0 },
      { batchId: batch?.id, position: 1 },
    ]);
  });

  it('gets an id of its own, whichever batch it goes with', async () => {
    const { sink, submit } = setUp();
    const answers: Promise<string>[] = [];
    for (let i = 0; i < 20; i += 1) {
      answers.push(submit(`a${i}`), submit(`b${i}`));
      await settled();
      if (i % 3 === 0) sink.store();
    }
    await sink.storeAll();
    const ids = await Promise.all(answers);
    expect(new Set(ids).size).toBe(40);
    for (const [i, id] of ids.entries()) {
      const place = locateRequest(id);
      const batch = sink.batches.find((candidate) => candidate.id === place?.batchId);
      expect(batch?.requests[place?.position ?? -1]?.ids).toEqual([`${i % 2 ? 'b' : 'a'}${i >> 1}`]);
    }
  });
});

describe('a batch', () => {
  it('holds all requests of one turn of the event loop, in their order', async () => {
    const { sink, submit } = setUp();
    for (const id of ['a', 'b', 'c']) submit(id);
    await settled();
    expect(sink.contents()).toEqual([['a', 'b', 'c']]);
  });

  it('is one of at most two in flight; who comes meanwhile leaves together, in order', async () => {
    const { sink, submit } = setUp();
    for (const id of ['a', 'b', 'c', 'd', 'e']) {
      submit(id);
      await settled();
    }
    expect(sink.contents()).toEqual([['a'], ['b']]);
    sink.store();
    await settled();
    expect(sink.contents()).toEqual([['a'], ['b'], ['c', 'd', 'e']]);
    submit('f');
    await settled();
    expect(sink.batches).toHaveLength(3);
    await sink.storeAll();
    expect(sink.contents()).toEqual([['a'], ['b'], ['c', 'd', 'e'], ['f']]);
    expect(sink.mostInFlight).toBe(2);
  });

  it('is kept open while every turn of the event loop brings further requests', async () => {
    const { sink, submit } = setUp();
    for (const id of ['a', 'b', 'c']) {
      submit(id);
      await turn();
    }
    await settled();
    expect(sink.contents()).toEqual([['a', 'b', 'c']]);
  });

  it('leaves after some turns though every one of them brings more', async () => {
    const { sink, submit } = setUp();
    let n = 0;
    for (; sink.batches.length === 0 && n < 20; n += 1) {
      submit(`request ${n}`);
      await turn();
    }
    expect(n).toBeLessThan(10);
  });

  it('holds at most 1,000 requests', async () => {
    const { sink, submit } = setUp();
    const ids = Array.from({ length: 2_501 }, (_, i) => String(i));
    const answers = ids.map((id) => submit(id, 1));
    await settled();
    expect(sink.batches.map(({ requests }) => requests.length)).toEqual([1_000, 1_000]);
    await sink.storeAll();
    expect(sink.batches.map(({ requests }) => requests.length)).toEqual([1_000, 1_000, 501]);
    expect(sink.contents().flat()).toEqual(ids);
    expect(new Set(await Promise.all(answers)).size).toBe(2_501);
  });

  it('holds at most 1 MiB', async () => {
    const { sink, submit } = setUp();
    submit('a', MIB / 2);
    submit('b', MIB / 2);
    submit('c', MIB / 2);
    submit('d', MIB / 2 + 1);
    submit('e', 1);
    await settled();
    await sink.storeAll();
    expect(sink.contents()).toEqual([['a', 'b'], ['c'], ['d', 'e']]);
  });

  it('is filled from the head of the line only, so that nobody is overtaken', async () => {
    const { sink, submit } = setUp();
    const sizes = [0.6, 0.6, 0.1, 0.6, 0.1, 0.1, 0.6];
    sizes.forEach((size, i) => {
      submit(String(i), size * MIB);
    });
    await settled();
    await sink.storeAll();
    expect(sink.contents()).toEqual([['0'], ['1', '2'], ['3', '4', '5'], ['6']]);
  });

  it('is one request alone where that is larger than 1 MiB', async () => {
    const { sink, submit } = setUp();
    submit('small');
    submit('large', 3 * MIB);
    submit('larger', 32 * MIB);
    submit('tiny');
    submit('last');
    await settled();
    await sink.storeAll();
    expect(sink.contents()).toEqual([['small'], ['large'], ['larger'], ['tiny', 'last']]);
  });
});

describe('where the queue refuses a batch', () => {
  it('every request of it gets the error, and no other request does', async () => {
    useFakeClock();
    const { sink, submit } = setUp();
    const refused = [submit('a'), submit('b')];
    await settled();
    const stored = submit('c');
    await settled();
    const later = submit('d');
    const error = new QueueUnavailableError('no connection to the queue');
    sink.fail(error);
    for (const answer of refused) await expect(answer).rejects.toBe(error);
    await lingered();
    await sink.storeAll();
    expect(await stateOf(stored)).toBe('fulfilled');
    expect(await stateOf(later)).toBe('fulfilled');
    expect(sink.contents()).toEqual([['a', 'b'], ['c'], ['d']]);
  });

  it('also one that throws instead of rejecting holds up nobody', async () => {
    const error = new Error('thrown at once');
    let calls = 0;
    const sink: BatchSink = {
      add() {
        calls += 1;
        if (calls <= 3) throw error;
        return Promise.resolve();
      },
    };
    const commit = new GroupCommit(sink, createBatchIds());
    const submit = () =>
      commit.submit({ namespace: 'ns', ids: ['a'], objects: '{"id":"a"}', bytes: 2 * MIB });
    const answers = [submit(), submit(), submit(), submit()];
    const outcomes = await Promise.allSettled(answers);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected', 'fulfilled']);
    await commit.idle();
  });
});

describe('where the queue does not answer', () => {
  it('a request is answered with an error after 4.5 seconds, in flight or in line', async () => {
    useFakeClock();
    const { submit } = setUp();
    const answers = [...(await fillFlight(submit)), submit('in line')];
    vi.advanceTimersByTime(4_499);
    for (const answer of answers) expect(await stateOf(answer)).toBe('pending');
    vi.advanceTimersByTime(1);
    for (const answer of answers) await expect(answer).rejects.toThrow(QueueUnavailableError);
  });

  it('who was told so while in line is never sent; who came later is', async () => {
    useFakeClock();
    const { sink, submit } = setUp();
    await fillFlight(submit);
    const early = [submit('early 1'), submit('early 2')];
    vi.advanceTimersByTime(2_000);
    const late = submit('late');
    vi.advanceTimersByTime(2_500);
    for (const answer of early) await expect(answer).rejects.toThrow(QueueUnavailableError);
    await sink.storeAll();
    const id = await late;
    expect(sink.contents()).toEqual([['flight 1'], ['flight 2'], ['late']]);
    expect(sink.batches[2]?.objects).toBe('{"id":"late"}');
    expect(id).toBe(requestIdAt(sink.batches[2]?.id ?? '', 0));
  });

  it('a line of nothing but answered requests sends no batch, and the next request goes at once', async () => {
    useFakeClock();
    const { sink, submit, commit } = setUp();
    await fillFlight(submit);
    const answers = [submit('a'), submit('b')];
    vi.advanceTimersByTime(4_500);
    for (const answer of answers) await expect(answer).rejects.toThrow(QueueUnavailableError);
    await sink.storeAll();
    expect(await stateOf(commit.idle())).toBe('fulfilled');
    submit('next');
    await settled();
    expect(sink.contents()).toEqual([['flight 1'], ['flight 2'], ['next']]);
  });

  it('an answer that comes too late changes nothing', async () => {
    useFakeClock();
    const { sink, submit } = setUp();
    const answer = submit('a');
    await settled();
    vi.advanceTimersByTime(4_500);
    await expect(answer).rejects.toThrow(QueueUnavailableError);
    sink.store();
    await settled();
    await expect(answer).rejects.toThrow(QueueUnavailableError);
  });

  it('keeps no timer for a request that was answered', async () => {
    useFakeClock();
    const { sink, submit } = setUp();
    const stored = submit('a');
    await settled();
    const refused = submit('b');
    await settled();
    expect(vi.getTimerCount()).toBe(2);
    sink.store();
    sink.fail(new QueueUnavailableError('away'));
    await Promise.allSettled([stored, refused]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('where more comes in than the queue takes', () => {
  it('refuses at once what would wait behind more than 64 MiB, and takes it again when the line is shorter', async () => {
    const { sink, submit } = setUp();
    await fillFlight(submit);
    const waiting = Array.from({ length: 65 }, (_, i) => submit(`in line ${i}`, MIB));
    const refused = submit('too many');
    await expect(refused).rejects.toThrow(QueueUnavailableError);
    expect(sink.batches).toHaveLength(2);

    sink.store();
    await settled();
    sink.store();
    await settled();
    const taken = submit('taken again');
    expect(await stateOf(taken)).toBe('pending');

    await sink.storeAll();
    expect((await Promise.allSettled(waiting)).every(({ status }) => status === 'fulfilled')).toBe(true);
    expect(await stateOf(taken)).toBe('fulfilled');
    expect(sink.contents().flat()).not.toContain('too many');
  });

  it('refuses nobody below that', async () => {
    const { sink, submit } = setUp();
    await fillFlight(submit);
    const waiting = Array.from({ length: 64 }, (_, i) => submit(`in line ${i}`, MIB));
    await sink.storeAll();
    expect((await Promise.allSettled(waiting)).every(({ status }) => status === 'fulfilled')).toBe(true);
  });

  it('counts what was answered with a timeout no more once the line moves', async () => {
    useFakeClock();
    const { sink, submit } = setUp();
    await fillFlight(submit);
    for (let i = 0; i < 65; i += 1) submit(`in line ${i}`, MIB);
    vi.advanceTimersByTime(4_500);
    await sink.storeAll();
    expect(sink.batches).toHaveLength(2);
    const next = submit('next', 64 * MIB);
    const another = submit('another');
    await settled();
    await sink.storeAll();
    expect(await stateOf(next)).toBe('fulfilled');
    expect(await stateOf(another)).toBe('fulfilled');
  });
});

describe('idle', () => {
  it('resolves at once where nobody waits', async () => {
    const { sink, commit, submit } = setUp();
    expect(await stateOf(commit.idle())).toBe('fulfilled');
    submit('a');
    await settled();
    await sink.storeAll();
    expect(await stateOf(commit.idle())).toBe('fulfilled');
  });

  it('waits for a request that was submitted a moment ago', async () => {
    const { sink, commit, submit } = setUp();
    const answer = submit('a');
    const idle = commit.idle();
    expect(await stateOf(idle)).toBe('pending');
    sink.store();
    await answer;
    expect(await stateOf(idle)).toBe('fulfilled');
  });

  it('waits for all in flight and in line', async () => {
    const { sink, commit, submit } = setUp();
    await fillFlight(submit);
    submit('in line');
    const idle = commit.idle();
    for (const left of [2, 1, 0]) {
      expect(await stateOf(idle)).toBe('pending');
      sink.store();
      await settled();
      expect(sink.batches).toHaveLength(3);
      expect(await stateOf(idle)).toBe(left === 0 ? 'fulfilled' : 'pending');
    }
  });

  it('resolves also where the last batch was refused', async () => {
    const { sink, commit, submit } = setUp();
    submit('a');
    const idle = commit.idle();
    await settled();
    sink.fail(new QueueUnavailableError('away'));
    expect(await stateOf(idle)).toBe('fulfilled');
  });

  it('resolves for everyone who asked', async () => {
    const { sink, commit, submit } = setUp();
    submit('a');
    const first = commit.idle();
    const second = commit.idle();
    await settled();
    sink.store();
    expect(await stateOf(second)).toBe('fulfilled');
    expect(await stateOf(first)).toBe('fulfilled');
  });

  it('resolves again after further requests', async () => {
    const { sink, commit, submit } = setUp();
    for (const id of ['a', 'b']) {
      submit(id);
      const idle = commit.idle();
      expect(await stateOf(idle)).toBe('pending');
      sink.store();
      expect(await stateOf(idle)).toBe('fulfilled');
    }
  });
});
