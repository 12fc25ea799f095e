import { expect, it } from 'vitest';
import type { Sliced } from '../../src/domain/slices.ts';
import { atOnce, inSlices } from '../../src/domain/slices.ts';

/** Work of so many steps, each of which takes a slice's time at least, and tells of itself. */
function* work(steps: number, tell: (step: number) => void): Sliced<string> {
  for (let step = 0; step < steps; step += 1) {
    const end = performance.now() + 6;
    while (performance.now() < end);
    tell(step);
    yield;
  }
  return 'done';
}

it('lets the event loop turn after each slice', async () => {
  const seen: string[] = [];
  const turn = (): void => {
    seen.push('turn');
    if (!seen.includes('over')) setImmediate(turn);
  };
  setImmediate(turn);
  expect(await inSlices(work(3, (step) => seen.push(String(step))))).toBe('done');
  seen.push('over');
  expect(seen.filter((what, i) => what === 'turn' && seen[i - 1] !== 'turn').length).toBeGreaterThanOrEqual(
    3,
  );
});

it('gives each of several works a slice in turn', async () => {
  const seen: string[] = [];
  const works = ['a', 'b', 'c'].map((name) => inSlices(work(3, () => seen.push(name))));
  await Promise.all(works);
  expect(seen.join('')).toBe('abcabcabc');
});

it('throws what the work throws', async () => {
  const failing = (): Sliced<never> =>
    work(1, () => {
      throw new Error('found something');
    }) as Sliced<never>;
  await expect(inSlices(failing())).rejects.toThrow('found something');
  expect(() => atOnce(failing())).toThrow('found something');
  expect(atOnce(work(2, () => undefined))).toBe('done');
});
