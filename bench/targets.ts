/** What is to be reached, on two cores with everything on them, and whether it is. */
import type { Figure, Measurements, Subject } from './measurement.ts';
import type { Spread } from './statistics.ts';
import type { SystemKey } from './systems/system.ts';

export interface Target {
  readonly what: string;
  readonly want: { readonly atLeast: number } | { readonly atMost: number };
  readonly unit: '×' | 'ms';
  /** The figure itself, or, where there is something to compare it with, its ratio to that. */
  readonly of: Subject;
  readonly to?: Subject;
}

export interface TargetResult {
  readonly target: Target;
  /** undefined where it was not measured. */
  readonly measured: Spread | undefined;
  readonly reached: boolean | undefined;
}

/** Compares the medians with what is wanted. */
export function judge(measurements: Measurements, targets: readonly Target[] = TARGETS): TargetResult[] {
  return targets.map((target) => {
    const { of, to, want } = target;
    const measured = to ? measurements.ratio(of, to) : measurements.spread(of);
    if (!measured) return { target, measured, reached: undefined };
    const reached = 'atLeast' in want ? measured.median >= want.atLeast : measured.median <= want.atMost;
    return { target, measured, reached };
  });
}

function subject(system: SystemKey, workload: string, figure: Figure): Subject {
  return { system, workload, figure };
}

/** Two systems under the same workload. */
function between(
  what: string,
  atLeast: number,
  [of, to]: readonly [SystemKey, SystemKey],
  workload: string,
  figure: Figure = 'storedPerSecond',
): Target {
  const want = { atLeast };
  return { what, want, unit: '×', of: subject(of, workload, figure), to: subject(to, workload, figure) };
}

/** (a) under two workloads. */
function within(what: string, atLeast: number, workload: string, reference: string): Target {
  const [of, to] = [workload, reference].map((key) => subject('a', key, 'storedPerSecond'));
  if (!of || !to) throw new Error('two workloads are compared');
  return { what, want: { atLeast }, unit: '×', of, to };
}

export const TARGETS: readonly Target[] = [
  between('singles over 64 connections, stored/s, (a) against (c)', 6, ['a', 'c'], 'singles-64'),
  between('singles over 256 connections, stored/s, (a) against (c)', 8, ['a', 'c'], 'singles-256'),
  between(
    'singles over 64 connections, accepted/s, (a) against (e)',
    0.45,
    ['a', 'e'],
    'singles-64',
    'acceptedPerSecond',
  ),
  between(
    'singles over 256 connections, accepted/s, (a) against (e)',
    0.6,
    ['a', 'e'],
    'singles-256',
    'acceptedPerSecond',
  ),
  between('singles over 64 connections, stored/s, (a) against (d)', 2, ['a', 'd'], 'singles-64'),
  between('singles over 256 connections, stored/s, (a) against (d)', 2, ['a', 'd'], 'singles-256'),
  between('lists of 100, stored/s, (a) against (c)', 3.5, ['a', 'c'], 'lists'),
  between('lists of 100, stored/s, (a) against (f)', 0.85, ['a', 'f'], 'lists'),
  between('import, stored/s, (a) against (f)', 0.85, ['a', 'f'], 'import'),
  between('embedded (b), singles over 64 connections, stored/s, against (c)', 4, ['b', 'c'], 'singles-64'),
  {
    what: 'p99 of the answer at half load, (a) against (e)',
    want: { atMost: 3 },
    unit: '×',
    of: subject('a', 'half-load', 'answerP99Ms'),
    to: subject('e', 'half-load', 'answerP99Ms'),
  },
  within(
    'overwrites with history against new ids, singles, stored/s',
    0.6,
    'singles-64-existing',
    'singles-64',
  ),
  within('overwrites with history against new ids, lists, stored/s', 0.6, 'lists-existing', 'lists'),
  within(
    'into the large table against an empty one, singles, stored/s',
    0.8,
    'singles-64-full',
    'singles-64',
  ),
  within('into the large table against an empty one, lists, stored/s', 0.8, 'lists-full', 'lists'),
  {
    what: 'one request on an idle server, answer, p99',
    want: { atMost: 5 },
    unit: 'ms',
    of: subject('a', 'one-by-one', 'answerP99Ms'),
  },
  {
    what: 'one request on an idle server, stored, p99',
    want: { atMost: 25 },
    unit: 'ms',
    of: subject('a', 'one-by-one', 'storedP99Ms'),
  },
];
