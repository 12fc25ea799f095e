/** How a group commit lets batches linger; how long is decided by what linger.test.ts is about. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { lingered, settled, setUp, stateOf, useFakeClock } from './held-sink.ts';

const MIB = 1024 * 1024;

afterEach(() => {
  vi.useRealTimers();
});

/** Three requests have been open at one time, and are answered; on a fake clock. */
async function afterCrowd() {
  useFakeClock();
  const all = setUp();
  for (const id of ['a', 'b', 'c']) all.submit(id);
  await settled();
  all.sink.store();
  await settled();
  return all;
}

describe('a batch', () => {
  it('lingers for a few milliseconds where more requests were open a moment ago', async () => {
    const { sink, submit } = await afterCrowd();
    submit('d');
    await settled();
    vi.advanceTimersByTime(4);
    submit('e');
    await settled();
    expect(sink.contents()).toEqual([['a', 'b', 'c']]);
    vi.advanceTimersByTime(1);
    await settled();
    expect(sink.contents()).toEqual([
      ['a', 'b', 'c'],
      ['d', 'e'],
    ]);
  });

  it('lingers no longer when as many are open as a moment ago', async () => {
    const { sink, submit } = await afterCrowd();
    for (const id of ['d', 'e', 'f']) {
      expect(sink.batches).toHaveLength(1);
      submit(id);
      await settled();
    }
    expect(sink.contents()).toEqual([
      ['a', 'b', 'c'],
      ['d', 'e', 'f'],
    ]);
  });

  it('does not linger when it is full', async () => {
    const { sink, submit } = await afterCrowd();
    submit('d', MIB - 1);
    await settled();
    expect(sink.batches).toHaveLength(1);
    submit('e', 1);
    await settled();
    expect(sink.batches).toHaveLength(2);
  });

  it('keeps no timer when it leaves before its time', async () => {
    const { sink, submit } = await afterCrowd();
    submit('d');
    await settled();
    // Its own, and that of lingering.
    expect(vi.getTimerCount()).toBe(2);
    for (const id of ['e', 'f']) submit(id);
    await settled();
    sink.store();
    await settled();
    expect(sink.contents()).toEqual([
      ['a', 'b', 'c'],
      ['d', 'e', 'f'],
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('does not linger where it has 1,000 requests', async () => {
    useFakeClock();
    const { sink, submit } = setUp();
    for (const half of ['first', 'second']) {
      for (let i = 0; i < 600; i += 1) submit(`${half} ${i}`, 1);
      await settled();
    }
    await sink.storeAll();
    expect(sink.batches).toHaveLength(2);
    for (let i = 0; i < 999; i += 1) submit(`next ${i}`, 1);
    await settled();
    expect(sink.batches).toHaveLength(2);
    submit('the last', 1);
    await settled();
    expect(sink.batches).toHaveLength(3);
  });

  it('is waited for where all in line are to be answered', async () => {
    const { sink, commit, submit } = await afterCrowd();
    const answer = submit('c');
    const idle = commit.idle();
    expect(await stateOf(idle)).toBe('pending');
    await lingered();
    sink.store();
    expect(await stateOf(idle)).toBe('fulfilled');
    expect(await stateOf(answer)).toBe('fulfilled');
  });
});
