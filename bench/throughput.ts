/**
 * How much Inlet takes and stores each second, on a throwaway PostgreSQL and Redis of this machine.
 *
 * Needs wrk and, unless it is left out, redis-server in the PATH. Load generator, API, worker, queue and
 * database share the machine, so the figures say what all of it can do together, and other work on it lowers
 * them: its load before each measurement stands beside the figure.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Result, Shape } from './measure.ts';
import { measure } from './measure.ts';
import type { Layout } from './services.ts';
import { deploy } from './services.ts';

const LAYOUTS: Readonly<Record<Layout, string>> = {
  redis: 'API and worker, queue in Redis',
  postgres: 'API and worker, queue in Postgres',
  serve: 'one process, queue in Postgres',
};

const SHAPES: readonly Shape[] = [
  { name: 'singles, 64 connections', connections: 64, listLength: 0 },
  { name: 'singles, 256 connections', connections: 256, listLength: 0 },
  { name: 'lists of 100, 16 connections', connections: 16, listLength: 100 },
];

const OPTIONS = {
  layout: { type: 'string', multiple: true, default: Object.keys(LAYOUTS) },
  shape: { type: 'string', default: '' },
  seconds: { type: 'string', default: '10' },
  'warm-up': { type: 'string', default: '3' },
  repeat: { type: 'string', default: '1' },
  output: { type: 'string', default: 'bench/results/throughput.json' },
  'log-level': { type: 'string', default: 'info' },
  profile: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const USAGE = `Usage: npm run bench -- [options]

  --layout NAME     ${Object.keys(LAYOUTS).join(', ')}; may be given several times (default: all)
  --shape TEXT      only the shapes whose name holds this text
  --seconds N       length of a measurement (default: ${OPTIONS.seconds.default})
  --warm-up N       length of the load before it (default: ${OPTIONS['warm-up'].default})
  --repeat N        how often each is measured (default: ${OPTIONS.repeat.default})
  --output FILE     where the figures go as JSON (default: ${OPTIONS.output.default})
  --log-level LEVEL what Inlet logs (default: ${OPTIONS['log-level'].default})
  --profile FOLDER  also writes CPU profiles of Inlet's processes there
`;

interface Row extends Result {
  readonly layout: Layout;
  /** Processes that wanted to run in the minute before, on average; the bench's own of earlier rows included. */
  readonly loadBefore: number;
}

const { values } = parseArgs({ options: OPTIONS });
if (values.help) process.stdout.write(USAGE);
else process.exitCode = await main();

async function main(): Promise<number> {
  const times = { warmUpSeconds: Number(values['warm-up']), seconds: Number(values.seconds) };
  const shapes = SHAPES.filter(({ name }) => name.includes(values.shape));
  const rows: Row[] = [];
  let failed = false;
  for (const layout of values.layout.filter(isLayout)) {
    process.stdout.write(`\n${LAYOUTS[layout]}\n`);
    const deployment = await deploy(layout, { profileDir: values.profile, logLevel: values['log-level'] });
    try {
      for (const shape of Array.from({ length: Number(values.repeat) }, () => shapes).flat()) {
        const [loadBefore = 0] = loadavg();
        const row = { layout, loadBefore, ...(await measure(deployment, shape, times)) };
        rows.push(row);
        process.stdout.write(`${describe(row)}\n`);
      }
    } catch (error) {
      // What was measured before is still worth having, but the run has failed.
      failed = true;
      process.stderr.write(`\nFAILED: ${error instanceof Error ? error.message : String(error)}\n`);
    } finally {
      await deployment.stop();
    }
  }
  await save(resolve(values.output), { node: process.version, cpus: cpus().length, times, rows });
  return failed ? 1 : 0;
}

function isLayout(name: string): name is Layout {
  return name in LAYOUTS;
}

function describe(row: Row): string {
  const cpu = Object.entries(row.cpuMicrosPerObject).map(([name, micros]) => `${name} ${micros.toFixed(0)}`);
  return [
    `  ${row.shape.padEnd(30)}`,
    `accepted/s ${whole(row.acceptedPerSecond)}`,
    `stored/s ${whole(row.storedPerSecond)}`,
    `not 202 ${row.refused + row.broken}`,
    `p50 ${row.p50Ms.toFixed(1)} ms`,
    `p99 ${row.p99Ms.toFixed(1)} ms`,
    `CPU µs/object: ${cpu.join(', ')}`,
    `load before ${row.loadBefore.toFixed(1)}`,
  ].join('  ');
}

function whole(rate: number): string {
  return Math.round(rate).toLocaleString('en').padStart(7);
}

async function save(file: string, figures: object): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(figures, undefined, 2)}\n`);
  process.stdout.write(`\nThe figures are in ${file}\n`);
}
