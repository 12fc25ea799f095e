import { beforeEach, describe, expect, it } from 'vitest';
import { Backpressure } from '../../src/ingest/backpressure.ts';
import type { QueueLoad } from '../../src/queue/queue.ts';

const MIB = 1024 ** 2;
const LIMIT = 100 * MIB;

let now: number;
let backpressure: Backpressure;

beforeEach(() => {
  now = 1_000_000;
  backpressure = new Backpressure({ high: 100, low: 80 }, () => now);
});

function load(batches: number, usedBytes?: number): QueueLoad {
  return {
    depth: { writes: batches, imports: 0, replays: 0 },
    oldestAgeMs: 0,
    clockBehindMs: 0,
    memory: usedBytes === undefined ? undefined : { usedBytes, limitBytes: LIMIT },
  };
}

/** Takes in these samples, a second apart, and tells after each whether writes are refused. */
function refusals(...loads: QueueLoad[]): boolean[] {
  return loads.map((sample) => {
    now += 1_000;
    backpressure.update(sample);
    return backpressure.refuses;
  });
}

describe('writes are refused', () => {
  it('from the high mark on until the low one, and not in between on the way up', () => {
    const depths = [0, 79, 99, 100, 99, 81, 99, 81, 80, 81, 99, 100];
    expect(refusals(...depths.map((depth) => load(depth)))).toEqual(
      depths.map((_depth, i) => (i >= 3 && i < 8) || i === 11),
    );
  });

  it('for chunks of imports as for any other batch', () => {
    expect(refusals({ ...load(60), depth: { writes: 60, imports: 30, replays: 10 } })).toEqual([true]);
  });

  it("for Redis's memory likewise: from nine tenths of what it may be until three quarters", () => {
    const used = [0, 75, 89, 90, 89, 76, 75, 76, 90];
    expect(refusals(...used.map((mib) => load(10, mib * MIB)))).toEqual(
      used.map((_mib, i) => (i >= 3 && i < 6) || i === 8),
    );
  });

  it('for each of the two by itself: one that never came to its high mark does not prolong the other', () => {
    expect(refusals(load(90, 95 * MIB), load(90, 80 * MIB), load(90, 70 * MIB))).toEqual([true, true, false]);
    expect(refusals(load(100, 80 * MIB), load(80, 80 * MIB))).toEqual([true, false]);
  });

  it('no longer when the queue is empty, though something else takes up the memory', () => {
    expect(refusals(load(10, 95 * MIB), load(1, 85 * MIB), load(0, 85 * MIB))).toEqual([true, true, false]);
    expect(refusals(load(0, 95 * MIB))).toEqual([true]);
  });

  it('no longer for memory when Redis has no limit any more', () => {
    expect(refusals(load(10, 95 * MIB), load(10))).toEqual([true, false]);
  });
});

describe('clients are told to wait', () => {
  it('until the low mark is reached at the rate at which the queue drains', () => {
    refusals(load(200), load(190), load(180));
    // 100 batches at 10 a second.
    expect(backpressure.retryAfterSeconds).toBe(10);
    refusals(load(140));
    // 60 more, and 20 a second over these three seconds.
    expect(backpressure.retryAfterSeconds).toBe(3);
  });

  it('some seconds while nothing is known about that', () => {
    refusals(load(0), load(50), load(200));
    expect(backpressure.retryAfterSeconds).toBe(5);
  });

  it('as fast as it drained in the last ten seconds, not before', () => {
    refusals(...Array.from({ length: 20 }, (_, i) => load(1_000 - 40 * i)));
    // 160 at 40 a second.
    expect(backpressure.retryAfterSeconds).toBe(4);
    refusals(...Array.from({ length: 10 }, (_, i) => load(240 - 2 * (i + 1))));
    // 140 at 2 a second.
    expect(backpressure.retryAfterSeconds).toBe(60);
    refusals(...Array.from({ length: 11 }, (_, i) => load(220 - 4 * (i + 1))));
    expect(backpressure.retryAfterSeconds).toBe(24);
  });

  it('the longest where it does not drain, or grows', () => {
    refusals(load(200), load(200));
    expect(backpressure.retryAfterSeconds).toBe(60);
    refusals(load(210));
    expect(backpressure.retryAfterSeconds).toBe(60);
  });

  it('at least a second, at most a minute', () => {
    refusals(load(1_000), load(81));
    expect(backpressure.retryAfterSeconds).toBe(1);
    refusals(load(80));
    refusals(load(100_000), load(99_999));
    expect(backpressure.retryAfterSeconds).toBe(60);
  });

  it('for whichever takes longer where both are over their marks', () => {
    refusals(load(200, 95 * MIB), load(190, 94 * MIB));
    // 110 batches at 10 a second, 19 MiB at one a second.
    expect(backpressure.retryAfterSeconds).toBe(19);
    refusals(load(189, 75 * MIB), load(188, 75 * MIB));
    // Only the batches are left: 108 at 4 a second.
    expect(backpressure.retryAfterSeconds).toBe(27);
  });
});
