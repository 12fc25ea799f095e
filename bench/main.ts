/**
 * Inlet beside its alternatives and its limits, all on this machine; see docs/performance.md.
 *
 * Needs wrk and redis-server in the PATH, and Linux. Load generators, servers, queue and database share the machine,
 * so a figure says what all of it can do together, and other work on it lowers them: how much of that there was
 * stands beside each.
 */
import { parseArgs } from 'node:util';
import type { Measurement } from './measurement.ts';
import type { Plan } from './plan.ts';
import { fullPlan, quickPlan } from './plan.ts';
import { number } from './report/markdown.ts';
import type { RunFacts } from './report/report.ts';
import { createReport, saveReport } from './report/report.ts';
import { Run } from './run.ts';
import { startSystems } from './systems/start.ts';
import type { SystemKey } from './systems/system.ts';
import { SYSTEMS } from './systems/system.ts';

const OPTIONS = {
  quick: { type: 'boolean', default: false },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  system: { type: 'string', multiple: true, default: [] as string[] },
  workload: { type: 'string', multiple: true, default: [] as string[] },
  output: { type: 'string' },
  'log-level': { type: 'string', default: 'info' },
  profile: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const USAGE = `Usage: npm run bench -- [options]

  --quick           one short round of what the targets are about, in less than three minutes
  --rounds N        rounds (default: ${fullPlan().rounds}; quick: ${quickPlan().rounds})
  --seconds N       length of a saturating load of single objects
  --system KEY      only this one; may be given several times
  --workload KEY    only this one; may be given several times. A * at its end stands for anything
  --output PATH     where the results go, without ending (default: bench/results/full, bench/results/quick)
  --log-level LEVEL what Inlet logs (default: ${OPTIONS['log-level'].default})
  --profile FOLDER  also writes CPU profiles of all Node.js processes there

Systems:
${Object.entries(SYSTEMS)
  .map(([key, title]) => `  ${key.padEnd(18)}${title}`)
  .join('\n')}

Workloads:
${fullPlan()
  .workloads.map(({ key, title }) => `  ${key.padEnd(24)}${title}`)
  .join('\n')}
`;

/** How long each load of the generator's own measurement takes, in seconds. */
const ROOM_SECONDS = 2;

const { values } = parseArgs({ options: OPTIONS });
if (values.help) process.stdout.write(USAGE);
else process.exitCode = await main(choosePlan());

async function main(plan: Plan): Promise<number> {
  const started = Date.now();
  const interruption = interrupted();
  // It may come before anybody waits for it.
  interruption.catch(() => undefined);
  const keys = new Set(plan.workloads.flatMap(({ systems }) => systems));
  const systems = await startSystems(keys, { profileDir: values.profile, logLevel: values['log-level'] });
  const run = new Run(plan, systems, printMeasurement);
  let failure: string | undefined;
  let generatorRoom = {};
  const measureAll = async (): Promise<void> => {
    generatorRoom = await run.generatorRoom(values.quick ? 1 : ROOM_SECONDS);
    await run.prepare();
    await run.measure();
  };
  try {
    await Promise.race([interruption, measureAll()]);
  } catch (error) {
    // What was measured before is still worth having, but the run has failed.
    failure = error instanceof Error ? error.message : String(error);
  } finally {
    await systems.stop();
  }
  const facts: RunFacts = {
    quick: values.quick,
    startedAt: new Date(started).toISOString(),
    seconds: (Date.now() - started) / 1_000,
    generatorRoom,
    ...(failure === undefined ? {} : { failure }),
  };
  const report = createReport(run.measurements, plan, facts);
  const base = values.output ?? `bench/results/${values.quick ? 'quick' : 'full'}`;
  const files = await saveReport(report, base);
  process.stdout.write(`\n${report.markdown}\n${files.join('\n')}\n`);
  if (failure === undefined) return 0;
  process.stderr.write(`\nFAILED: ${failure}\n`);
  return 1;
}

/** Rejects when the bench is to end early: what it has started must not be left behind. */
function interrupted(): Promise<never> {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new Error(`ended by ${signal}`)));
  });
}

function choosePlan(): Plan {
  const plan = values.quick ? quickPlan() : fullPlan();
  const isWanted = (key: string): boolean =>
    values.workload.length === 0 ||
    values.workload.some((name) => (name.endsWith('*') ? key.startsWith(name.slice(0, -1)) : key === name));
  const isSystemWanted = (key: SystemKey): boolean =>
    values.system.length === 0 || values.system.includes(key);
  const workloads = plan.workloads
    .filter(({ key }) => isWanted(key))
    .map((workload) => ({
      ...workload,
      systems: workload.systems.filter(isSystemWanted),
      ...(values.seconds && workload.listLength === 0 && workload.kind === 'saturated'
        ? { seconds: Number(values.seconds) }
        : {}),
    }))
    .filter(({ systems }) => systems.length > 0);
  return { ...plan, workloads, ...(values.rounds ? { rounds: Number(values.rounds) } : {}) };
}

function printMeasurement({ round, workload, system, figures, conditions, refused }: Measurement): void {
  const told = Object.entries(figures).map(([name, value]) => `${name} ${number(value)}`);
  process.stdout.write(
    `${round}  ${workload.padEnd(24)} (${system})  ${told.join('  ')}  not 202 ${refused}  ` +
      `generator ${number(conditions.generatorCores)}  other ${number(conditions.otherCores)}\n`,
  );
}
