import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { WriteGate } from '../../src/ingest/write-gate.ts';
import type { QueueLoad } from '../../src/queue/queue.ts';
import { QueueUnavailableError } from '../../src/queue/queue.ts';

const MIB = 1024 ** 2;

let lines: { level: string; msg: string; [figure: string]: unknown }[];
/** Undefined while the queue is away. */
let load: QueueLoad | undefined;
let gate: WriteGate;

beforeEach(() => {
  vi.useFakeTimers();
  lines = [];
  load = depth(0);
  const write = (level: string) => (figures: object, msg: string) => lines.push({ level, msg, ...figures });
  const log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  } as never;
  const queue = {
    load: async () => {
      if (!load) throw new QueueUnavailableError('away');
      return load;
    },
  };
  gate = new WriteGate(queue, { high: 5, low: 3 }, log);
});

afterEach(() => {
  vi.useRealTimers();
  gate.close();
});

function depth(writes: number, memory?: QueueLoad['memory']): QueueLoad {
  return { depth: { writes, imports: 0, replays: 0 }, oldestAgeMs: 0, clockBehindMs: 0, memory };
}

async function sampled(next: QueueLoad | undefined): Promise<void> {
  load = next;
  await vi.advanceTimersByTimeAsync(1_100);
}

it('answers writes with 503 and the time to wait, and says so once in the log when it begins and when it ends', async () => {
  await sampled(depth(4));
  expect(gate.refusal).toBeUndefined();
  expect(gate.warning).toBeUndefined();
  for (let i = 0; i < 5; i += 1) await sampled(depth(7));
  expect(gate.refusal).toMatchObject({
    code: 'queue_full',
    message: 'the queue is full: try again in 60 seconds',
    headers: { 'retry-after': '60' },
  });
  for (let i = 0; i < 3; i += 1) await sampled(depth(4));
  expect(gate.refusal?.headers['retry-after']).toBe('3');
  await sampled(depth(3));
  expect(gate.refusal).toBeUndefined();
  expect(lines).toEqual([
    {
      level: 'warn',
      msg: 'the queue is full: writes get 503 until it has drained',
      depth: { writes: 7, imports: 0, replays: 0 },
      highMark: 5,
      lowMark: 3,
    },
    {
      level: 'info',
      msg: 'the queue has drained: writes are taken again',
      depth: { writes: 3, imports: 0, replays: 0 },
      highMark: 5,
      lowMark: 3,
      refusedForMs: expect.any(Number),
    },
  ]);
  expect(lines[1]?.['refusedForMs']).toBeGreaterThan(7_000);
});

it('tells with figures why writes are refused', async () => {
  await sampled(depth(7));
  expect(gate.warning).toContain('batches: 7, the mark is 5');
  await sampled(depth(1, { usedBytes: 95.5 * MIB, limitBytes: 100 * MIB }));
  expect(gate.warning).toContain('batches: 1, the mark is 5; Redis uses 95.5 of 100.0 MiB');
});

it('leaves everything as it was while the queue is away', async () => {
  await sampled(depth(7));
  await sampled(undefined);
  await sampled(undefined);
  expect(gate.refusal).toBeDefined();
  expect(gate.warning).toContain('the queue is full');
  expect(gate.load).toBeUndefined();
  await sampled(depth(0));
  expect(gate.refusal).toBeUndefined();
  expect(lines).toHaveLength(2);
});
