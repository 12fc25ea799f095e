/** The evaluator's thread where objects take up seconds of CPU, or all memory that it may have. */
import { describe, expect, it } from 'vitest';
import { checkFailsAlone, startEvaluator } from '../support/evaluators.ts';

describe('an object that takes too long', () => {
  it('and blocks the thread some time after it has begun is found too', async () => {
    const { evaluate, lost } = await startEvaluator({ timeoutMs: 400 });
    const others = Array.from({ length: 4 }, () => evaluate({ do: 'wait', ms: 100 }));
    const blocking = evaluate({ do: 'loopLater' });
    expect((await blocking).outcome).toBe('timed_out');
    for (const one of others) expect((await one).outcome).toBe('succeeded');
    // Once among others, where it could have been any of them, and once by itself.
    expect(lost()).toBe(2);
  });

  it('does not take the process with it, however many there are', async () => {
    const { evaluate, outcomes } = await startEvaluator({ timeoutMs: 200, concurrency: 4 });
    const bad = Array.from({ length: 6 }, (_, i) => evaluate({ do: i % 2 === 0 ? 'loop' : 'loopLater' }));
    const good = Array.from({ length: 10 }, () => evaluate({ do: 'wait', ms: 20 }));
    expect((await Promise.all(bad)).every(({ outcome }) => outcome === 'timed_out')).toBe(true);
    expect((await Promise.all(good)).every(({ outcome }) => outcome === 'succeeded')).toBe(true);
    expect(outcomes).toHaveLength(16);
  });
});

describe('an object that ends the thread', () => {
  it('fails alone: memory', async () => {
    await checkFailsAlone('memory', expect.stringMatching(/^ended its thread: .*memory/));
  });
});
