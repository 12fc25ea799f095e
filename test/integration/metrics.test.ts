/** The metrics of the API and the worker after some traffic, and that the documents speak of those that there are. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import type { InletTest } from '../support/fixtures.ts';
import { describeOnBothQueues, inletTest, startInlet } from '../support/fixtures.ts';
import { importFile } from '../support/imports.ts';
import { KEY } from '../support/inlet.ts';
import { bearer, makeKey } from '../support/keys.ts';
import { query } from '../support/postgres.ts';
import { scrape, total } from '../support/prometheus.ts';
import { Receiver } from '../support/receiver.ts';
import { waitFor } from '../support/wait-for.ts';
import { startWorkerWithPort } from '../support/worker.ts';

const test = inletTest();

/** What an Inlet allows for receivers on this machine. */
const WEBHOOKS = { webhookAllowHttp: true, webhookAllowNetworks: ['127.0.0.0/8'] };

const refusing = (databaseUrl: string) =>
  query(databaseUrl, `ALTER TABLE inlet.objects ADD CHECK (NOT data ? 'refuse')`);

/** `test` with what the API and the worker (`api`, `worker`) tell after the traffic. */
function withScrapes(test: InletTest) {
  return test
    .extend('scrapes', { scope: 'file' }, async ({ inlet, config, store }) => {
      // Failed objects are counted when a worker starts, and then every 15 seconds.
      const failing = [object('a', { refuse: 1 }), object('b', { refuse: 1 })];
      await storeBatch(store.database, handMadeBatch(1, [{ namespace: 'before', objects: failing }]));
      const started = await startWorkerWithPort(config);
      const receiver = await Receiver.start();
      try {
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
        // The queue is asked once a second, and garbage is collected now and then.
        const worker = await waitFor('the samples of the worker', async () => {
          const found = await scrape(started.url);
          const isDelivered = total(found, 'inlet_webhook_deliveries_total', { outcome: 'succeeded' }) === 3;
          const isSampled =
            total(found, 'inlet_queue_batches') !== undefined &&
            (total(found, 'inlet_failed_objects') ?? 0) >= 2;
          return isDelivered && isSampled && found.types.has('v8js_gc_duration') && found;
        });
        const api = await waitFor('the sample of the API', async () => {
          const found = await scrape(inlet.url);
          return total(found, 'inlet_queue_batches') !== undefined && found;
        });
        return { api, worker };
      } finally {
        await started.close();
        await receiver.close();
      }
    })
    .extend('api', ({ scrapes }) => scrapes.api)
    .extend('worker', ({ scrapes }) => scrapes.worker);
}

describeOnBothQueues(
  'the metrics',
  (test) => {
    test('count requests by method, route and status, and how long they took', ({ api }) => {
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

    test('tell what went into the queue', ({ api }) => {
      expect(total(api, 'inlet_batch_requests_sum', { lane: 'writes' })).toBe(21);
      expect(total(api, 'inlet_batch_objects_sum', { lane: 'writes' })).toBe(43);
      expect(total(api, 'inlet_batch_objects_sum', { lane: 'imports' })).toBe(2);
      expect(total(api, 'inlet_batch_bytes_sum', { lane: 'writes' })).toBeGreaterThan(500);
      const batches = total(api, 'inlet_enqueue_duration_seconds_count', { lane: 'writes' }) ?? 0;
      expect(batches).toBeGreaterThanOrEqual(2);
      expect(batches).toBeLessThanOrEqual(21);
      expect(total(api, 'inlet_enqueue_failures_total')).toBe(0);
    });

    test('tell what became of the objects, and how long it took', ({ worker }) => {
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

    test('tell of webhooks: of two objects that were stored, and of a line that was none', ({ worker }) => {
      expect(total(worker, 'inlet_webhook_attempts_total', { outcome: 'succeeded' })).toBe(3);
      expect(total(worker, 'inlet_webhook_attempts_total')).toBe(3);
      expect(total(worker, 'inlet_webhook_attempt_duration_seconds_count', { outcome: 'succeeded' })).toBe(3);
      expect(total(worker, 'inlet_webhook_deliveries_total', { outcome: 'failed' })).toBe(0);
      expect(total(worker, 'inlet_webhook_endpoints_disabled_total')).toBe(0);
      expect(total(worker, 'inlet_webhook_oldest_due_age_seconds')).toBeGreaterThanOrEqual(0);
      expect(total(worker, 'inlet_database_connections_max', { pool: 'webhooks' })).toBe(3);
    });

    test('tell of the queue and of connections on both sides', ({ api, worker }) => {
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

    test('are of this Inlet alone: others in the process have their own', ({ api, worker }) => {
      expect(total(worker, 'inlet_http_request_duration_seconds_count')).toBeUndefined();
      expect(total(api, 'inlet_objects_total')).toBeUndefined();
    });

    test('have nothing in their labels that a client can make up', ({ api, worker }) => {
      const labels = [...api.samples, ...worker.samples].flatMap((sample) => Object.values(sample.labels));
      for (const label of labels) expect(label).not.toMatch(/secret|PROPFIND|settings_1|sk_/);
      expect(labels).not.toContain('m');
    });

    test('all that the documents, the dashboard and the alerts name are there, and none is left out', ({
      api,
      worker,
    }) => {
      const exported = new Set([...api.types.keys(), ...worker.types.keys()]);
      const has = (name: string): boolean =>
        exported.has(name) || exported.has(name.replace(/_(?:bucket|count|sum)$/, ''));
      // Only where there is a Redis with a limit; and what is no metric, a role and a schema.
      const elsewhere = [
        'inlet_queue_memory_used_bytes',
        'inlet_queue_memory_limit_bytes',
        'inlet_app',
        'inlet_queue',
      ];
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
  },
  { workers: 0, settings: WEBHOOKS, prepare: refusing },
  withScrapes,
);

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
  test('is everybody, or with INLET_METRICS_ACCESS=admin keys with that scope', async ({
    databaseUrl,
    config,
  }) => {
    const writer = await makeKey(databaseUrl, '--scopes', 'write,read');
    const admin = await makeKey(databaseUrl, '--scopes', 'admin');
    const inlet = await startInlet({ ...config, metricsAccess: 'admin' }, { workers: 0 });
    const status = async (headers: Record<string, string>) =>
      (await fetch(`${inlet.url}/metrics`, { headers })).status;
    expect(await status({})).toBe(401);
    expect(await status(bearer(writer))).toBe(403);
    expect(await status(bearer(admin))).toBe(200);
    expect(await status({ authorization: `Bearer ${KEY}` })).toBe(200);
  });

  test('is everybody where only this machine can ask, and unless told otherwise keys elsewhere', async ({
    inlet,
    config,
  }) => {
    expect((await fetch(`${inlet.url}/metrics`)).status).toBe(200);
    const host = '0.0.0.0';
    const outside = await startInlet({ ...config, host }, { workers: 0 });
    expect((await fetch(`${outside.url}/metrics`)).status).toBe(401);
    const open = await startInlet({ ...config, host, metricsAccess: 'open' }, { workers: 0 });
    expect((await fetch(`${open.url}/metrics`)).status).toBe(200);
  });
});

test('whoever asks often gets the same text again', async ({ inlet }) => {
  const texts = await Promise.all(
    Array.from({ length: 50 }, async () => (await fetch(`${inlet.url}/metrics`)).text()),
  );
  // A second may end in between. Made anew, none is like another: they tell the CPU time of the process.
  expect(new Set(texts).size).toBeLessThan(5);
});
