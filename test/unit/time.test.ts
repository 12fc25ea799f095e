import { expect, it } from 'vitest';
import { isoFromMicros } from '../../src/domain/time.ts';

it.each([
  [0, '1970-01-01T00:00:00.000000Z'],
  [1, '1970-01-01T00:00:00.000001Z'],
  [999, '1970-01-01T00:00:00.000999Z'],
  [1_000, '1970-01-01T00:00:00.001000Z'],
  [1_000_010, '1970-01-01T00:00:01.000010Z'],
  [-1, '1969-12-31T23:59:59.999999Z'],
  [Date.UTC(2026, 10, 22, 19) * 1_000 + 123_456, '2026-11-22T19:00:00.123456Z'],
  [Date.UTC(2024, 1, 29, 23, 59, 59, 999) * 1_000 + 999, '2024-02-29T23:59:59.999999Z'],
  [Number.MAX_SAFE_INTEGER, '2255-06-05T23:47:34.740991Z'],
])('shows %d microseconds since 1970 as %s', (micros, text) => {
  expect(isoFromMicros(micros)).toBe(text);
});
