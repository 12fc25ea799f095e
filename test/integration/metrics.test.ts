/** The metrics of the API and the worker after some traffic, and that the documents speak of those that there are. */
import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApi } from '../../src/roles/api.ts';
import { startWorker } from '../../src/roles/worker.ts';
import { importFile } from '../support/imports.ts';
import { eventually, KEY, TestInlet, testConfig } from '../support/inlet.ts';
import { bearer, makeKey } from '../support/keys.ts';
import { createTestDatabase, query } from '../support/postgres.ts';
import { InletProcess } from '../support/process.ts';
import type { Scrape } from '../support/prometheus.ts';
import { scrape, total } from '../support/prometheus.ts';
import { describeOnBothQueues } from '../support/queues.ts';
import { Receiver } from '../support/receiver.ts';

const silent = pino({ level: 'silent' });

/** A worker with a port of its own in this process. */
async function startWorkerWithPort(config: Parameters<typeof startWorker>[0]) {
  const lines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line) => lines.push(line) });
  const worker = await startWorker(config, log, 0);
  return { worker, url: /"url":"(http[^"]+)"/.exec(lines.join(''))?.[1] ?? '' };
}

describeOnBothQueues('the metrics', ({ redisUrl }) => {
  const closers: (() => Promise<unknown>)[] = [];
  let inlet: TestInlet;
  let api: Scrape;
  let worker: Scrape;

  beforeAll(async () => {
    const database = await createTestDatabase();
    closers.push(database.drop);
    await query(database.url, `ALTER TABLE inlet.objects ADD CHECK (NOT data ? 'refuse')`);
    const webhooks = { webhookAllowHttp: true, webhookAllowNetworks: ['127.0.0.0/8'] };
    const config = testConfig({ databaseUrl: database.url, redisUrl }, webhooks);
    inlet = await TestInlet.start(config, { workers: 0 });
    closers.push(() => inlet.close());
    const started = await startWorkerWithPort(config);
    closers.push(() => started.worker.close());

    const receiver = await Receiver.start();
    closers.push(() => receiver.close());
    const endpoint = JSON.stringify({ url: receiver.url, namespaces: ['files'] });
    await inlet.fetch('/v1/webhooks/endpoints', { method: 'POST', body: endpoint });
    const writes = Array.from({ length: 20 }, (_, i) =>
      inlet.write('m', `{"data": [{"id": "secret-id-${i}"}, {"id": "b${i}"}]}`),
    );
    for (const id of await Promise.all(writes)) await inlet.done('m', id);
    const last = await inlet.write(
      'm',
      '{"data": [{"id": "c"}, {"id": "c", "n": 2}, {"id": "d", "refuse": 1}]}',
    );
    await inlet.done('m', last);
    await inlet.post('m', 'no JSON');
    await inlet.fetch('/v1/data/m/objects/secret-id-1?secret=query');
    await inlet.fetch('/secret-path');
    await fetch(`${inlet.url}/v1/data/m`, { method: 'PROPFIND' });
    await inlet.done('files', await importFile(inlet, 'files', '{"id": "a"}\n{"id": "b"}\nbad\n'));
    // The samplers ask once a second and every fifteen, and garbage is collected now and then.
    worker = await eventually(async () => {
      const found = await scrape(started.url);
      const isDelivered = total(found, 'inlet_webhook_deliveries_total', { outcome: 'succeeded' }) === 3;
      const isSampled =
        total(found, 'inlet_queue_batches') !== undefined && total(found, 'inlet_failed_objects') === 2;
      return isDelivered && isSampled && found.types.has('v8js_gc_duration') ? found : undefined;
    });
    api = await eventually(async () => {
      const found = await scrape(inlet.url);
      return total(found, 'inlet_queue_batches') === undefined ? undefined : found;
    });
  });

  afterAll(async () => {
    for (const close of closers.reverse()) await close();
  });

  it('count requests by method, route and status, and how long they took', () => {
    const count = 'inlet_http_request_duration_seconds_count';
    const post = { method: 'POST', route: '/v1/data/:namespace' };
    expect(total(api, count, { ...post, status: '202' })).toBe(21);
    expect(total(api, count, { ...post, status: '400' })).toBe(1);
    expect(total(api, count, { method: 'GET', route: '/v1/data/:namespace/objects/:id' })).toBe(1);
    expect(total(api, count, { route: 'none', status: '404' })).toBeGreaterThanOrEqual(1);
    const bucket = 'inlet_http_request_duration_seconds_bucket';
    expect(total(api, bucket, { ...post, status: '202', le: '+Inf' })).toBe(21);
    expect(total(api, bucket, { ...post, status: '202', le: '10' })).toBe(21);
    const sum = total(api, 'inlet_http_request_duration_seconds_sum', { ...post, status: '202' });
    expect(sum).toBeGreaterThan(0);
    expect(sum).toBeLessThan(210);
  });

  it('tell what went into the queue', () => {
    expect(total(api, 'inlet_batch_requests_sum', { lane: 'writes' })).toBe(21);
    expect(total(api, 'inlet_batch_objects_sum', { lane: 'writes' })).toBe(43);
    expect(total(api, 'inlet_batch_objects_sum', { lane: 'imports' })).toBe(2);
    expect(total(api, 'inlet_batch_bytes_sum', { lane: 'writes' })).toBeGreaterThan(500);
    const batches = total(api, 'inlet_enqueue_duration_seconds_count', { lane: 'writes' }) ?? 0;
    expect(batches).toBeGreaterThanOrEqual(2);
    expect(batches).toBeLessThanOrEqual(21);
    expect(total(api, 'inlet_enqueue_failures_total')).toBe(0);
  });

  it('tell what became of the objects, and how long it took', () => {
    expect(total(worker, 'inlet_objects_total', { outcome: 'stored' })).toBe(41 + 2);
    expect(total(worker, 'inlet_objects_total', { outcome: 'overtaken' })).toBe(1);
    expect(total(worker, 'inlet_objects_total', { outcome: 'failed' })).toBe(1 + 1);
    expect(total(worker, 'inlet_accepted_to_stored_seconds_count', { lane: 'writes' })).toBe(21);
    expect(total(worker, 'inlet_accepted_to_stored_seconds_sum', { lane: 'writes' })).toBeLessThan(21 * 60);
    expect(total(worker, 'inlet_store_duration_seconds_count', { lane: 'imports' })).toBe(1);
    expect(total(worker, 'inlet_store_retries_total')).toBe(0);
    expect(total(worker, 'inlet_worker_stuck')).toBe(0);
    expect(total(worker, 'inlet_worker_batches')).toBe(0);
  });

  it('tell of webhooks: of two objects that were stored, and of a line that was none', () => {
    expect(total(worker, 'inlet_webhook_attempts_total', { outcome: 'succeeded' })).toBe(3);
    expect(total(worker, 'inlet_webhook_attempts_total')).toBe(3);
    expect(total(worker, 'inlet_webhook_attempt_duration_seconds_count', { outcome: 'succeeded' })).toBe(3);
    expect(total(worker, 'inlet_webhook_deliveries_total', { outcome: 'failed' })).toBe(0);
    expect(total(worker, 'inlet_webhook_endpoints_disabled_total')).toBe(0);
    expect(total(worker, 'inlet_webhook_oldest_due_age_seconds')).toBeGreaterThanOrEqual(0);
    expect(total(worker, 'inlet_database_connections_max', { pool: 'webhooks' })).toBe(3);
  });

  it('tell of the queue and of connections on both sides', () => {
    for (const side of [api, worker]) {
      for (const lane of ['writes', 'imports']) {
        expect(total(side, 'inlet_queue_batches', { lane })).toBeGreaterThanOrEqual(0);
      }
      expect(total(side, 'inlet_queue_oldest_batch_age_seconds')).toBeGreaterThanOrEqual(0);
      expect(total(side, 'process_resident_memory_bytes')).toBeGreaterThan(1e7);
      expect(total(side, 'process_cpu_seconds_total')).toBeGreaterThan(0);
      expect(total(side, 'nodejs_eventloop_delay_p99')).toBeGreaterThan(0);
    }
    expect(total(api, 'inlet_backpressure')).toBe(0);
    expect(total(api, 'inlet_database_connections_max', { pool: 'api' })).toBe(10);
    expect(total(worker, 'inlet_database_connections', { pool: 'worker' })).toBeGreaterThan(0);
    expect(total(worker, 'inlet_database_connection_waiters', { pool: 'worker' })).toBe(0);
  });

  it('are of this Inlet alone: others in the process have their own', () => {
    expect(total(worker, 'inlet_http_request_duration_seconds_count')).toBeUndefined();
    expect(total(api, 'inlet_objects_total')).toBeUndefined();
  });

  it('have nothing in their labels that a client can make up', () => {
    const labels = [...api.samples, ...worker.samples].flatMap((sample) => Object.values(sample.labels));
    for (const label of labels) expect(label).not.toMatch(/secret|PROPFIND|settings_1|sk_/);
    expect(labels).not.toContain('m');
  });

  it('all that the documents, the dashboard and the alerts name are there, and none is left out', () => {
    const exported = new Set([...api.types.keys(), ...worker.types.keys()]);
    const has = (name: string): boolean =>
      exported.has(name) || exported.has(name.replace(/_(?:bucket|count|sum)$/, ''));
    // Only where there is a Redis with a limit.
    const elsewhere = ['inlet_queue_memory_used_bytes', 'inlet_queue_memory_limit_bytes'];
    for (const file of ['operations.md', 'grafana/inlet.json', 'prometheus/alerts.yml']) {
      const named = metricsIn(file);
      expect(named.length, file).toBeGreaterThan(10);
      const missing = named.filter((name) => !has(name) && !elsewhere.includes(name));
      expect(missing, file).toEqual([]);
    }
    const documented = new Set(metricsIn('operations.md'));
    const inletOnes = [...exported].filter((name) => name.startsWith('inlet_'));
    expect(inletOnes.filter((name) => !documented.has(name))).toEqual([]);
  });
});

/** The names of metrics in a file of the documentation. */
function metricsIn(file: string): string[] {
  const text = readFileSync(new URL(`../../docs/${file}`, import.meta.url), 'utf8');
  // Prefixes end otherwise: names of Inlet's tables, secrets and packages begin alike.
  const names = text.match(/\b(?:inlet|nodejs|v8js|process)_[a-z0-9_]+\b/g) ?? [];
  return [...new Set(names)].filter((name) => !LABELS.has(name));
}

/** Labels whose names look like those of metrics. */
const LABELS: ReadonlySet<string> = new Set([
  'nodejs_eventloop_state',
  'v8js_gc_type',
  'v8js_heap_space_name',
]);

describe('the dashboard', () => {
  interface Panel {
    readonly title: string;
    readonly type: string;
    readonly id: number;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
  }
  const dashboard = JSON.parse(
    readFileSync(new URL('../../docs/grafana/inlet.json', import.meta.url), 'utf8'),
  ) as {
    readonly panels: readonly Panel[];
    readonly templating: { readonly list: readonly { readonly name: string }[] };
  };

  it('has panels with ids of their own that do not lie on each other', () => {
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
      expect(x + w).toBeLessThanOrEqual(24);
      return Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`);
    });
    expect(new Set(cells).size).toBe(cells.length);
  });

  it('asks the data source that was chosen, and by variables that it has', () => {
    const names = dashboard.templating.list.map(({ name }) => name);
    for (const { title, type, targets = [] } of dashboard.panels) {
      expect(targets.length > 0, title).toBe(type !== 'row');
      for (const { expr, datasource } of targets) {
        expect(datasource.uid).toMatch(/^\$\{datasource\}$/);
        const variables = [...expr.matchAll(/\$(\w+)/g)].map(([, name]) => name ?? '');
        expect(variables.filter((name) => name !== '__rate_interval' && !names.includes(name))).toEqual([]);
        expect(expr.split('(').length, expr).toBe(expr.split(')').length);
      }
    }
  });
});

describe('who may read the metrics', () => {
  it('is everybody, or with INLET_METRICS_ACCESS=admin keys with that scope', async () => {
    const { url: databaseUrl, drop } = await createTestDatabase();
    const writer = await makeKey(databaseUrl, '--scopes', 'write,read');
    const admin = await makeKey(databaseUrl, '--scopes', 'admin');
    const config = testConfig({ databaseUrl }, { metricsAccess: 'admin' });
    const api = await startApi(config, [KEY], silent);
    const status = async (headers: Record<string, string>) =>
      (await fetch(`${api.url}/metrics`, { headers })).status;
    expect(await status({})).toBe(401);
    expect(await status(bearer(writer))).toBe(403);
    expect(await status(bearer(admin))).toBe(200);
    expect(await status({ authorization: `Bearer ${KEY}` })).toBe(200);
    await api.close();
    await drop();
  });
});

it('inlet serve has those of both sides in one', async () => {
  const { url: databaseUrl, drop } = await createTestDatabase();
  const serve = new InletProcess(['serve'], { DATABASE_URL: databaseUrl, INLET_API_KEYS: KEY, PORT: '0' });
  const url = await serve.apiUrl();
  await fetch(`${url}/v1/data/m`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: '{"data": {"id": "a"}}',
  });
  const both = await eventually(async () => {
    const found = await scrape(url);
    return total(found, 'inlet_objects_total', { outcome: 'stored' }) === 1 ? found : undefined;
  });
  expect(total(both, 'inlet_batch_objects_sum')).toBe(1);
  for (const pool of ['api', 'worker']) {
    expect(total(both, 'inlet_database_connections_max', { pool })).toBeGreaterThan(0);
  }
  expect(both.samples.filter(({ name }) => name === 'process_cpu_seconds_total')).toHaveLength(1);
  expect((await serve.kill('SIGTERM')).code).toBe(0);
  await drop();
});
