import { expect, it } from 'vitest';
import { ClockWatch } from '../../src/queue/clock-watch.ts';

function setUp() {
  const told: string[] = [];
  let now = 0;
  const watch = new ClockWatch(
    (error) => told.push(error.message),
    () => now,
  );
  /** Something is stamped. All in seconds. */
  const stamp = (at: number, clock: number, last = clock): void => {
    now = at * 1_000;
    watch.saw({ stamp: last * 1_000_000, acceptedAt: clock * 1_000_000 });
  };
  return { told, watch, stamp };
}

it('says nothing of a clock that goes as clocks do, however long nothing is stamped', () => {
  const { told, watch, stamp } = setUp();
  stamp(0, 1_000);
  stamp(1, 1_001);
  stamp(2, 1_001.5, 1_002.4);
  stamp(90_000, 91_000);
  stamp(90_001, 91_059);
  expect(told).toEqual([]);
  expect(watch.behindMs).toBe(0);
});

it('tells that a clock is behind, for as long as it is', () => {
  const { told, watch, stamp } = setUp();
  stamp(0, 1_000);
  stamp(1, 400, 1_001);
  expect(told).toEqual([
    "the clock of the queue's server is 601 s behind the last write: the order of writes holds",
  ]);
  expect(watch.behindMs).toBe(601_000);
  stamp(700, 1_099);
  expect(told).toHaveLength(1);
  expect(watch.behindMs).toBe(0);
});

it('tells that a clock has jumped forward', () => {
  const { told, stamp } = setUp();
  stamp(0, 1_000);
  stamp(10, 4_610);
  stamp(11, 4_611);
  expect(told).toEqual(["the clock of the queue's server jumped forward by 3600 s"]);
});
