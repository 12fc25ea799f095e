import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { kindOf, Throttle } from '../../src/telemetry/throttle.ts';
import { errorReporter } from '../../src/telemetry.ts';

const lines: Record<string, unknown>[] = [];
const keep = (line: object) => lines.push({ ...line });
const log = { warn: keep, error: keep };

beforeEach(() => {
  lines.length = 0;
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe('a reporter of errors', () => {
  it('logs the same error at once, and then once in ten seconds with how many it has left out', () => {
    const report = errorReporter(log as never, 'away');
    for (let i = 0; i < 100; i += 1) report(new Error('refused'), { batch: i });
    expect(lines).toEqual([{ err: expect.any(Error), batch: 0 }]);
    vi.advanceTimersByTime(10_000);
    expect(lines[1]).toEqual({ err: expect.any(Error), batch: 99, leftOut: 98 });
    report(new Error('refused'));
    vi.advanceTimersByTime(10_000);
    expect(lines[2]).toEqual({ err: expect.any(Error) });
    vi.advanceTimersByTime(60_000);
    expect(lines).toHaveLength(3);
  });

  it('logs another error at once', () => {
    const report = errorReporter(log as never, 'away');
    report(new Error('refused'));
    report(new Error('out of memory'));
    report(Object.assign(new Error('refused'), { code: 'EACCES' }));
    expect(lines).toHaveLength(3);
  });

  it('logs what differs in ids, addresses and sizes alone as the same', () => {
    const report = errorReporter(log as never, 'away');
    for (let i = 0; i < 100; i += 1) {
      report(new Error(`could not renew lock for job batch-01m86xg91xsxppzej4kd0qy${i}`));
      report(
        new Error(`Missing lock for job task-ep_${String.fromCharCode(97 + (i % 26))}bc. moveToFinished`),
      );
      report(new Error(`connect ECONNREFUSED 127.0.0.1:${i}`));
    }
    expect(lines).toHaveLength(3);
    vi.advanceTimersByTime(10_000);
    expect(lines).toHaveLength(6);
  });
});

describe('Throttle', () => {
  it('forgets what does not come again', () => {
    const throttle = new Throttle();
    throttle.tell('a', keep);
    vi.advanceTimersByTime(10_000);
    throttle.tell('a', keep);
    expect(lines).toEqual([{}, {}]);
    expect(vi.getTimerCount()).toBe(1);
  });

  it('takes all for one kind where there are too many', () => {
    const throttle = new Throttle(3);
    for (let i = 0; i < 1_000; i += 1) throttle.tell(`kind ${i}`, keep);
    expect(lines).toHaveLength(4);
    vi.advanceTimersByTime(10_000);
    expect(lines.slice(4)).toEqual([{ leftOut: 995 }]);
    throttle.tell('kind 0', keep);
    expect(lines).toHaveLength(6);
  });
});

it('the kind of an error keeps what explains it', () => {
  expect(kindOf(new TypeError('connect ECONNREFUSED ::1:6379'))).toBe(
    'TypeError  connect ECONNREFUSED ::#:#',
  );
});
