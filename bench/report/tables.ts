/** The tables of a run. */
import type { Figure, Measurement, Measurements } from '../measurement.ts';
import type { Spread } from '../statistics.ts';
import { median } from '../statistics.ts';
import type { SystemKey } from '../systems/system.ts';
import { SYSTEMS } from '../systems/system.ts';
import type { TargetResult } from '../targets.ts';
import type { Workload } from '../workloads/workload.ts';
import { markdownTable, number } from './markdown.ts';

/** A table for a workload: a row for each system that was measured with it; '' where none was. */
export function workloadTable(measurements: Measurements, { key, title, systems }: Workload): string {
  const measured = systems.filter((system) => measurements.of(system, key).length > 0);
  if (measured.length === 0) return '';
  const rows = measured.map((system) => workloadRow(measurements, system, key));
  const head = [
    ...['system', 'accepted/s', 'stored/s', 'answer ms, p50', 'p99', 'stored ms, p50', 'p99'],
    ...['CPU s per 100,000', 'peak MiB', 'other CPU'],
  ];
  const numbers = [false, true, true, true, true, true, true, false, false, true];
  return `### ${title[0]?.toUpperCase()}${title.slice(1)}\n\n${markdownTable(head, rows, numbers)}`;
}

/** The table of targets. */
export function targetTable(results: readonly TargetResult[]): string {
  const rows = results.map(({ target: { what, want, unit }, measured, reached }) => {
    const [words, limit] = 'atLeast' in want ? ['at least', want.atLeast] : ['at most', want.atMost];
    const answer = reached === undefined ? 'not measured' : reached ? 'yes' : '**no**';
    return [what, `${words} ${limit} ${unit}`, withRange(measured), answer];
  });
  return markdownTable(['', 'target', 'measured', 'reached'], rows, [false, false, true, false]);
}

/** How much of the machine the load generator took, at most, and how much something else did. */
export function conditionsLine(all: readonly Measurement[]): string {
  if (all.length === 0) return 'Nothing was measured.';
  const generator = Math.max(...all.map(({ conditions }) => conditions.generatorCores));
  const others = all.map(({ conditions }) => conditions.otherCores);
  return (
    `The load generator took at most ${number(generator)} of a core. Other processes of the machine took ` +
    `${number(median(others))} cores (median; at most ${number(Math.max(...others))}).`
  );
}

function workloadRow(measurements: Measurements, system: SystemKey, workload: string): string[] {
  const cell = (figure: Figure): string => withRange(measurements.spread({ system, workload, figure }));
  const only = (figure: Figure): string => number(measurements.spread({ system, workload, figure })?.median);
  const of = measurements.of(system, workload);
  const per100k = ({ accepted, stored = accepted }: Measurement): number => 100_000 / stored;
  return [
    `(${system}) ${SYSTEMS[system]}`,
    ...[cell('acceptedPerSecond'), cell('storedPerSecond')],
    ...[only('answerP50Ms'), only('answerP99Ms'), only('storedP50Ms'), only('storedP99Ms')],
    byProcess(of, (one, name) => (one.usage[name]?.cpuSeconds ?? Number.NaN) * per100k(one)),
    byProcess(of, (one, name) => one.usage[name]?.peakMb ?? Number.NaN),
    number(median(of.map(({ conditions }) => conditions.otherCores))),
  ];
}

function byProcess(of: readonly Measurement[], value: (one: Measurement, process: string) => number): string {
  const names = Object.keys(of[0]?.usage ?? {});
  return names.map((name) => `${name} ${number(median(of.map((one) => value(one, name))))}`).join(', ');
}

/** The median, and where there were several the least and the greatest. */
function withRange(spread: Spread | undefined): string {
  if (!spread) return '';
  const { median: middle, min, max, count } = spread;
  return count === 1 ? number(middle) : `${number(middle)} (${number(min)}–${number(max)})`;
}
