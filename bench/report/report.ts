/** What a run leaves behind: the tables in Markdown, and all figures as JSON. */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, release, totalmem } from 'node:os';
import { dirname } from 'node:path';
import type { Measurements } from '../measurement.ts';
import type { Plan } from '../plan.ts';
import { judge } from '../targets.ts';
import { conditionsLine, targetTable, workloadTable } from './tables.ts';

/** What is told beside the figures. */
export interface RunFacts {
  readonly quick: boolean;
  readonly startedAt: string;
  readonly seconds: number;
  /** Why it ended early. */
  readonly failure?: string;
  /** Requests per second that the load generator sends to a server that does nothing, by the name of the load. */
  readonly generatorRoom: Readonly<Record<string, number>>;
}

export interface Report {
  readonly markdown: string;
  readonly json: string;
}

export function createReport(measurements: Measurements, plan: Plan, facts: RunFacts): Report {
  const [cpu] = cpus();
  const machine = {
    cpu: cpu?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
  };
  const targets = judge(measurements);
  const room = Object.entries(facts.generatorRoom).map(
    ([name, rate]) => `${Math.round(rate).toLocaleString('en')} requests/s (${name})`,
  );
  const markdown = [
    ...(facts.quick ? ['**A quick run: one short round and small tables. Only a full run counts.**'] : []),
    ...(facts.failure ? [`**It ended early: ${facts.failure}**`] : []),
    `${facts.startedAt}, ${plan.rounds} round${plan.rounds === 1 ? '' : 's'}, ${Math.round(facts.seconds / 60)} min; ` +
      `${machine.cores} cores (${machine.cpu}), ${machine.memoryGb} GB, Linux ${machine.kernel}, Node.js ${machine.node}. ` +
      `The large table has ${plan.fullRows.toLocaleString('en')} rows. ${conditionsLine(measurements.all)} ` +
      `Against a server that only answers, the load generator came to ${room.join(', ')}.`,
    '## Targets',
    targetTable(targets),
    '## Figures',
    ...plan.workloads
      .map((workload) => workloadTable(measurements, workload))
      .filter((table) => table !== ''),
  ].join('\n\n');
  const figures = { ...facts, machine, plan, targets, measurements: measurements.all };
  return { markdown: `${markdown}\n`, json: `${JSON.stringify(figures, undefined, 2)}\n` };
}

/** @param base the files' path without ending. @returns the files */
export async function saveReport({ markdown, json }: Report, base: string): Promise<readonly string[]> {
  await mkdir(dirname(base), { recursive: true });
  const files = [
    { file: `${base}.md`, text: markdown },
    { file: `${base}.json`, text: json },
  ];
  for (const { file, text } of files) await writeFile(file, text);
  return files.map(({ file }) => file);
}
