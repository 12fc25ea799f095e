import { describe, expect, test } from 'vitest';
import { median, quantile, ratios, spread } from '../../../bench/statistics.ts';

describe('quantile', () => {
  test('is the smallest value that the share of all values does not exceed', () => {
    const values = Array.from({ length: 100 }, (_, i) => i + 1);
    expect(quantile(values, 0.5)).toBe(50);
    expect(quantile(values, 0.99)).toBe(99);
    expect(quantile(values, 1)).toBe(100);
    expect(quantile(values, 0)).toBe(1);
  });

  test('of a few values is one of them: the p99 of three is the greatest', () => {
    expect(quantile([1, 2, 9], 0.99)).toBe(9);
    expect(quantile([], 0.5)).toBeNaN();
  });
});

describe('median', () => {
  test('is the middle value, whatever the order', () => {
    expect(median([9, 1, 5])).toBe(5);
  });

  test('is the mean of the two in the middle', () => {
    expect(median([4, 1, 3, 100])).toBe(3.5);
    expect(median([])).toBeNaN();
  });
});

describe('spread', () => {
  test('tells the least and the greatest beside the median', () => {
    expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, count: 3 });
    expect(spread([])).toBeUndefined();
  });
});

describe('ratios', () => {
  test('compares within rounds: a slow round that hits both changes nothing', () => {
    const of = new Map([
      [1, 10],
      [2, 100],
      [3, 10],
    ]);
    const to = new Map([
      [1, 5],
      [2, 50],
      [3, 5],
    ]);
    expect(ratios(of, to)).toEqual({ median: 2, min: 2, max: 2, count: 3 });
  });

  test('leaves out rounds that one of the two has missed', () => {
    expect(ratios(new Map([[1, 10]]), new Map([[2, 5]]))).toBeUndefined();
    expect(
      ratios(
        new Map([
          [1, 10],
          [2, 6],
        ]),
        new Map([[2, 2]]),
      ),
    ).toEqual({ median: 3, min: 3, max: 3, count: 1 });
  });
});
