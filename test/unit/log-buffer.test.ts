import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LogBuffer } from '../../src/telemetry/log-buffer.ts';

let written: string[];
let buffer: LogBuffer;

beforeEach(() => {
  vi.useFakeTimers();
  written = [];
  buffer = new LogBuffer({
    write: (text) => written.push(text),
    flushSync: () => written.push('flushed'),
  });
});

afterEach(() => {
  vi.useRealTimers();
});

it('lines are written together, in their order, and none waits longer than 100 ms', () => {
  buffer.write('one\n');
  vi.advanceTimersByTime(60);
  buffer.write('two\n');
  expect(written).toEqual([]);
  vi.advanceTimersByTime(40);
  expect(written).toEqual(['one\ntwo\n']);
  buffer.write('three\n');
  vi.advanceTimersByTime(100);
  expect(written).toEqual(['one\ntwo\n', 'three\n']);
});

it('an idle log writes nothing', () => {
  buffer.write('one\n');
  vi.advanceTimersByTime(10_000);
  expect(written).toEqual(['one\n']);
  expect(vi.getTimerCount()).toBe(0);
});

it('many lines are written at once when enough of them have come', () => {
  const line = `${'x'.repeat(999)}\n`;
  for (let i = 0; i < 64; i += 1) buffer.write(line);
  expect(written).toEqual([line.repeat(64)]);
});

it('a flush writes what is left before it returns', () => {
  buffer.write('last\n');
  buffer.flushSync();
  expect(written).toEqual(['last\n', 'flushed']);
  vi.advanceTimersByTime(1_000);
  expect(written).toHaveLength(2);
});
