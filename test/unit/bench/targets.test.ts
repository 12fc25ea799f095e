import { describe, expect, test } from 'vitest';
import type { Figures } from '../../../bench/measurement.ts';
import { Measurements } from '../../../bench/measurement.ts';
import { fullPlan, quickPlan } from '../../../bench/plan.ts';
import { targetTable } from '../../../bench/report/tables.ts';
import type { SystemKey } from '../../../bench/systems/system.ts';
import type { Target } from '../../../bench/targets.ts';
import { judge, TARGETS } from '../../../bench/targets.ts';

const CONDITIONS = {
  loadBefore: 0,
  generatorCpuSeconds: 0,
  generatorCores: 0,
  otherCores: 0,
  seconds: 1,
};

function measured(
  ...all: [round: number, system: SystemKey, workload: string, figures: Figures][]
): Measurements {
  const measurements = new Measurements();
  for (const [round, system, workload, figures] of all)
    measurements.add({
      ...{ round, system, workload, figures, accepted: 1, refused: 0, usage: {} },
      conditions: CONDITIONS,
    });
  return measurements;
}

const RATIO: Target = {
  what: 'a against c',
  want: { atLeast: 6 },
  unit: '×',
  of: { system: 'a', workload: 'w', figure: 'storedPerSecond' },
  to: { system: 'c', workload: 'w', figure: 'storedPerSecond' },
};

const TIME: Target = {
  what: 'p99 of a',
  want: { atMost: 5 },
  unit: 'ms',
  of: { system: 'a', workload: 'w', figure: 'answerP99Ms' },
};

describe('judge', () => {
  test('takes the median of the ratios of the rounds', () => {
    const measurements = measured(
      [1, 'a', 'w', { storedPerSecond: 700 }],
      [1, 'c', 'w', { storedPerSecond: 100 }],
      [2, 'a', 'w', { storedPerSecond: 50 }],
      [2, 'c', 'w', { storedPerSecond: 10 }],
      [3, 'a', 'w', { storedPerSecond: 640 }],
      [3, 'c', 'w', { storedPerSecond: 100 }],
    );
    expect(judge(measurements, [RATIO])).toEqual([
      { target: RATIO, measured: { median: 6.4, min: 5, max: 7, count: 3 }, reached: true },
    ]);
  });

  test.each([
    { target: RATIO, of: 5.99, reached: false },
    { target: RATIO, of: 6, reached: true },
    { target: TIME, of: 5, reached: true },
    { target: TIME, of: 5.01, reached: false },
  ])('is exact about the limit: $target.what $of', ({ target, of, reached }) => {
    const figures: Figures = { [target.of.figure]: of };
    const measurements = measured([1, 'a', 'w', figures], [1, 'c', 'w', { storedPerSecond: 1 }]);
    expect(judge(measurements, [target])[0]?.reached).toBe(reached);
  });

  test('says of what was not measured neither yes nor no', () => {
    const [result] = judge(measured([1, 'a', 'w', { storedPerSecond: 7 }]), [RATIO]);
    expect(result).toEqual({ target: RATIO, measured: undefined, reached: undefined });
  });
});

describe('the table of targets', () => {
  test('shows what is wanted, what was measured with its range, and whether it is reached', () => {
    const table = targetTable([
      { target: RATIO, measured: { median: 5.5, min: 5, max: 6.5, count: 3 }, reached: false },
      { target: TIME, measured: undefined, reached: undefined },
    ]);
    expect(table).toContain('| a against c | at least 6 × | 5.50 (5.00–6.50) | **no**       |');
    expect(table).toContain('| p99 of a    | at most 5 ms |                  | not measured |');
  });
});

describe.each([
  { name: 'full', plan: fullPlan() },
  { name: 'quick', plan: quickPlan() },
])('the $name plan', ({ plan }) => {
  test('measures everything that the targets are about', () => {
    const planned = new Set(
      plan.workloads.flatMap(({ key, systems }) => systems.map((system) => `${system} ${key}`)),
    );
    const wanted = TARGETS.flatMap(({ of, to }) => (to ? [of, to] : [of]));
    const missing = wanted
      .map(({ system, workload }) => `${system} ${workload}`)
      .filter((one) => !planned.has(one));
    expect(missing).toEqual([]);
  });

  test('has different keys for different workloads', () => {
    const keys = plan.workloads.map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test('overwrites no more objects than there are', () => {
    for (const { table, objects, title } of plan.workloads) {
      if (table !== 'existing') continue;
      expect(objects, title).toBeGreaterThan(0);
      expect(objects, title).toBeLessThanOrEqual(plan.existingRows);
    }
  });
});

test('a full run has at least five rounds', () => {
  expect(fullPlan().rounds).toBeGreaterThanOrEqual(5);
});
