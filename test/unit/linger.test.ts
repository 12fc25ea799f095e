import { beforeEach, describe, expect, it } from 'vitest';
import { Linger } from '../../src/ingest/linger.ts';

let linger: Linger;

beforeEach(() => {
  linger = new Linger();
});

/** As many requests are open as given, and the question is asked. */
function waitMs(open: number, now: number): number {
  linger.saw(open, now);
  return linger.waitMs(open, now);
}

describe('a batch', () => {
  it('does not wait before there was another', () => {
    linger.saw(3, 0);
    expect(linger.waitMs(1, 0)).toBeLessThanOrEqual(0);
  });

  it('waits until 5 ms after the one before where more requests were open lately', () => {
    linger.saw(3, 0);
    linger.batchLeft(10);
    expect(waitMs(2, 11)).toBe(4);
    expect(waitMs(2, 15)).toBe(0);
    expect(waitMs(2, 20)).toBeLessThan(0);
  });

  it('does not wait where as many or more are open', () => {
    linger.saw(3, 0);
    linger.batchLeft(10);
    expect(waitMs(3, 11)).toBe(0);
    expect(waitMs(4, 12)).toBe(0);
    expect(waitMs(3, 13)).toBe(2);
  });

  it('never waits where one request comes after the other', () => {
    for (let now = 0; now < 1_000; now += 1) {
      expect(waitMs(1, now)).toBe(0);
      linger.batchLeft(now);
    }
  });
});

describe('a crowd', () => {
  it('is remembered for more than 100 ms, over the change of the window', () => {
    linger.saw(1, 0);
    linger.saw(3, 90);
    linger.batchLeft(190);
    expect(waitMs(2, 191)).toBe(4);
  });

  it('is forgotten after less than 300 ms while others come', () => {
    linger.saw(3, 0);
    for (let now = 50; now < 300; now += 50) linger.saw(1, now);
    linger.batchLeft(300);
    expect(waitMs(2, 301)).toBe(0);
  });

  it('is forgotten at once where nothing came for 200 ms', () => {
    linger.saw(3, 0);
    linger.batchLeft(201);
    expect(waitMs(1, 201)).toBe(0);
  });
});
