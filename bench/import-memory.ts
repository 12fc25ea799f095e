/**
 * What an import costs: the API's peak memory while a file is uploaded, small and large, and how long single
 * writes take until they are stored, without an import and while one runs.
 *
 * Each size gets processes of its own, because the peak is that of a process's whole life.
 */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { dirname, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pg from 'pg';
import type { Deployment } from './services.ts';
import { deploy } from './services.ts';

const LAYOUTS: string[] = ['redis', 'postgres'];
const SIZES: string[] = ['10000', '1000000'];

const OPTIONS = {
  layout: { type: 'string', multiple: true, default: LAYOUTS },
  objects: { type: 'string', multiple: true, default: SIZES },
  'memory-only': { type: 'boolean', default: false },
  output: { type: 'string', default: 'bench/results/import-memory.json' },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

const USAGE = `Usage: npm run bench:import -- [options]

  --layout NAME     redis or postgres; may be given several times (default: both)
  --objects N       objects in the file; may be given several times (default: ${SIZES.join(', ')})
  --memory-only     leave the single writes out
  --output FILE     where the figures go as JSON (default: ${OPTIONS.output.default})
`;

/** Lines that are made, and sent, at once. */
const LINES_AT_ONCE = 200;

/** How many single writes are timed without an import. */
const SINGLES = 200;
const PAUSE_BETWEEN_SINGLES_MS = 20;

interface Row {
  readonly layout: string;
  readonly objects: number;
  readonly megabytes: number;
  readonly uploadSeconds: number;
  readonly storedSeconds: number;
  readonly idleMb: number;
  readonly peakMb: number;
  /** Milliseconds from the POST of a single write until it is stored. */
  readonly singlesWithout?: Quantiles;
  readonly singlesDuring?: Quantiles;
  readonly loadBefore: number;
}

interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const { values } = parseArgs({ options: OPTIONS });
if (values.help) process.stdout.write(USAGE);
else await main();

async function main(): Promise<void> {
  const rows: Row[] = [];
  for (const layout of values.layout) {
    if (layout !== 'redis' && layout !== 'postgres') throw new Error(USAGE);
    for (const objects of values.objects.map(Number)) {
      const deployment = await deploy(layout);
      try {
        const row = await measure(deployment, layout, objects);
        rows.push(row);
        process.stdout.write(`${describe(row)}\n`);
      } finally {
        await deployment.stop();
      }
    }
  }
  const file = resolve(values.output);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(
    file,
    `${JSON.stringify({ node: process.version, cpus: cpus().length, rows }, undefined, 2)}\n`,
  );
  process.stdout.write(`\nThe figures are in ${file}\n`);
}

async function measure(deployment: Deployment, layout: string, objects: number): Promise<Row> {
  const [loadBefore = 0] = loadavg();
  const pool = new pg.Pool({ connectionString: deployment.databaseUrl });
  try {
    const api = deployment.pids['api'] ?? 0;
    await timeSingle(deployment, 'warm-up');
    const idleMb = memoryMb(api, 'VmRSS');
    const alone = await importFile(deployment, pool, objects);
    const peakMb = memoryMb(api, 'VmHWM');
    const figures = { layout, objects, ...alone, idleMb, peakMb, loadBefore };
    if (values['memory-only']) return figures;
    const singlesWithout = await timeSingles(deployment, async (count) => count < SINGLES);
    let running = true;
    const second = importFile(deployment, pool, objects).finally(() => {
      running = false;
    });
    const singlesDuring = await timeSingles(deployment, async () => running);
    await second;
    return { ...figures, singlesWithout, singlesDuring };
  } finally {
    await pool.end();
  }
}

async function importFile(deployment: Deployment, pool: pg.Pool, objects: number) {
  const asked = await call(deployment, 'POST', '/v1/data/bench/requests/upload-url');
  const { requestId, upload_url } = (await asked.json()) as { requestId: string; upload_url: string };
  let bytes = 0;
  let next = 0;
  const file = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (next >= objects) return controller.close();
      const end = Math.min(next + LINES_AT_ONCE, objects);
      let text = '';
      for (; next < end; next += 1) text += line(next);
      const chunk = Buffer.from(text);
      bytes += chunk.length;
      controller.enqueue(chunk);
    },
  });
  const started = performance.now();
  const answer = await fetch(upload_url, { method: 'PUT', body: file, duplex: 'half' });
  if (!answer.ok) throw new Error(await answer.text());
  const uploadSeconds = (performance.now() - started) / 1_000;
  // Asked of the database, not of the API, whose memory is measured.
  for (;;) {
    const { rows } = await pool.query<{ status: string; objects: number }>(
      'SELECT status, objects FROM inlet.requests WHERE request_id = $1',
      [requestId],
    );
    const [row] = rows;
    if (row?.status === 'failed') throw new Error('objects have failed');
    if (row?.status === 'succeeded') {
      if (row.objects !== objects) throw new Error(`${row.objects} of ${objects} objects were counted`);
      break;
    }
    await delay(50);
  }
  const storedSeconds = (performance.now() - started) / 1_000;
  return { megabytes: bytes / 1_000_000, uploadSeconds, storedSeconds };
}

/** A line of about 450 bytes. */
function line(n: number): string {
  const tags = ['alpha', 'beta', 'gamma', 'delta'].map((tag) => `${tag}-${n % 97}`);
  return `${JSON.stringify({
    id: `object-${n}`,
    name: `Object number ${n}`,
    price: n / 100,
    tags,
    stock: { berlin: n % 17, paris: n % 13, lisbon: n % 7 },
    description: `${'Lorem ipsum dolor sit amet, consectetur adipiscing elit. '.repeat(4)}${n}`,
  })}\n`;
}

async function timeSingles(
  deployment: Deployment,
  goOn: (count: number) => Promise<boolean>,
): Promise<Quantiles> {
  const times: number[] = [];
  while (await goOn(times.length)) {
    times.push(await timeSingle(deployment, `single-${times.length}`));
    await delay(PAUSE_BETWEEN_SINGLES_MS);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { count: times.length, p50: at(0.5), p99: at(0.99), max: times.at(-1) ?? Number.NaN };
}

async function timeSingle(deployment: Deployment, id: string): Promise<number> {
  const started = performance.now();
  const answer = await call(deployment, 'POST', '/v1/data/singles', { data: { id, n: started } });
  const { requestId } = (await answer.json()) as { requestId: string };
  for (;;) {
    const response = await call(deployment, 'GET', `/v1/data/singles/requests/${requestId}`);
    const { status } = (await response.json()) as { status: string };
    if (status === 'succeeded') return performance.now() - started;
    await delay(1);
  }
}

async function call({ apiUrl, apiKey }: Deployment, method: string, path: string, body?: object) {
  const response = await fetch(apiUrl + path, {
    method,
    headers: { authorization: `Bearer ${apiKey}`, ...(body ? { 'content-type': 'application/json' } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response;
}

/** `VmRSS` is what a process takes up now, `VmHWM` the most that it ever did (proc(5)). */
function memoryMb(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024;
}

function describe(row: Row): string {
  const singles = ({ p50, p99, max, count }: Quantiles): string =>
    `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, max ${max.toFixed(1)} ms (${count})`;
  return [
    `${row.layout}: ${row.objects.toLocaleString('en')} objects, ${row.megabytes.toFixed(0)} MB`,
    `  upload ${row.uploadSeconds.toFixed(1)} s, stored ${row.storedSeconds.toFixed(1)} s`,
    `  API's memory: ${row.idleMb.toFixed(0)} MiB before, peak ${row.peakMb.toFixed(0)} MiB`,
    ...(row.singlesWithout ? [`  single write to stored, alone:     ${singles(row.singlesWithout)}`] : []),
    ...(row.singlesDuring ? [`  single write to stored, during it: ${singles(row.singlesDuring)}`] : []),
    `  load before ${row.loadBefore.toFixed(1)}`,
  ].join('\n');
}
