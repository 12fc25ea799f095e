import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { errorReporter } from '../../src/telemetry.ts';

const lines: Record<string, unknown>[] = [];
const ignore = (): void => undefined;
const log = { debug: ignore, info: ignore, error: ignore, warn: (line: object) => lines.push({ ...line }) };

beforeEach(() => {
  lines.length = 0;
  vi.useFakeTimers({ toFake: ['performance'] });
});

afterEach(() => {
  vi.useRealTimers();
});

it('the same error is logged once in ten seconds, and then with how often it came', () => {
  const report = errorReporter(log as never, 'away');
  for (let i = 0; i < 100; i += 1) report(new Error('refused'));
  expect(lines).toHaveLength(1);
  vi.advanceTimersByTime(10_001);
  report(new Error('refused'));
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatchObject({ repeated: 99 });
});

it('another error is logged at once', () => {
  const report = errorReporter(log as never, 'away');
  report(new Error('refused'));
  report(new Error('out of memory'));
  expect(lines).toHaveLength(2);
});
