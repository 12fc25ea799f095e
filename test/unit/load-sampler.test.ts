import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LoadSampler } from '../../src/ingest/load-sampler.ts';
import type { QueueLoad } from '../../src/queue/queue.ts';
import { QueueUnavailableError } from '../../src/queue/queue.ts';

const LOAD: QueueLoad = {
  depth: { writes: 1, imports: 0, replays: 0 },
  oldestAgeMs: 0,
  clockBehindMs: 0,
  memory: undefined,
};

let asked: number;
let answer: () => Promise<QueueLoad>;
let samples: QueueLoad[];
let sampler: LoadSampler;

beforeEach(() => {
  vi.useFakeTimers();
  asked = 0;
  samples = [];
  answer = async () => LOAD;
});

afterEach(() => {
  vi.useRealTimers();
  sampler.close();
});

function start(): void {
  const load = (): Promise<QueueLoad> => {
    asked += 1;
    return answer();
  };
  sampler = new LoadSampler({ load }, (sample) => samples.push(sample));
}

it('asks at once and then every second', async () => {
  start();
  expect(asked).toBe(1);
  await vi.advanceTimersByTimeAsync(10_500);
  expect(asked).toBe(11);
  expect(samples).toHaveLength(11);
  expect(sampler.latest).toBe(LOAD);
});

it('does not ask again before it has an answer', async () => {
  let give: (load: QueueLoad) => void = () => undefined;
  answer = () =>
    new Promise((resolve) => {
      give = resolve;
    });
  start();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(asked).toBe(1);
  give(LOAD);
  await vi.advanceTimersByTimeAsync(1_100);
  expect(asked).toBe(2);
  give(LOAD);
});

it('goes on when the queue is away and comes back, and knows nothing meanwhile', async () => {
  start();
  await vi.advanceTimersByTimeAsync(1_500);
  answer = async () => {
    throw new QueueUnavailableError('away');
  };
  await vi.advanceTimersByTimeAsync(5_000);
  expect(sampler.latest).toBeUndefined();
  expect(samples).toHaveLength(2);
  answer = async () => LOAD;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(sampler.latest).toBe(LOAD);
  expect(samples).toHaveLength(3);
});

it('asks no more when it is closed', async () => {
  start();
  await vi.advanceTimersByTimeAsync(1_500);
  sampler.close();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(asked).toBe(2);
});
