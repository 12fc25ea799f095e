/** Traces from the request to the transaction, as a collector sees them, and what must never be in them. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startTracing } from '../../src/telemetry/tracing.ts';
import { eventually, KEY } from '../support/inlet.ts';
import type { CollectedSpan } from '../support/otlp.ts';
import { attributeOf, TestCollector } from '../support/otlp.ts';
import { createTestDatabase, query } from '../support/postgres.ts';
import { InletProcess } from '../support/process.ts';
import { describeOnBothQueues } from '../support/queues.ts';

/** Stands in whatever must not get out. */
const MARKER = 'xyzzy';

let closers: (() => Promise<unknown>)[];

beforeEach(() => {
  closers = [];
});

afterEach(async () => {
  for (const close of closers.reverse()) await close();
});

const hex = (bytes: number): string => randomBytes(bytes).toString('hex');

it('nothing is traced unless somebody takes the traces', async () => {
  const tracing = startTracing({ otlpEndpoint: undefined, role: 'api', log: undefined as never });
  expect(await tracing).toBeUndefined();
});

describeOnBothQueues('traces', ({ redisUrl }) => {
  let collector: TestCollector;
  let databaseUrl: string;
  let url: string;
  let processes: InletProcess[];

  beforeEach(async () => {
    collector = await TestCollector.start();
    closers.push(() => collector.close());
    const database = await createTestDatabase();
    closers.push(database.drop);
    databaseUrl = database.url;
    const settings = {
      ...{ DATABASE_URL: databaseUrl, INLET_API_KEYS: KEY, PORT: '0', INLET_WORKER_PORT: '0' },
      ...(redisUrl ? { REDIS_URL: redisUrl, INLET_REDIS_PREFIX: `traces-${hex(4)}` } : {}),
      ...{ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '100' },
    };
    const api = new InletProcess(['api'], settings);
    const worker = new InletProcess(['worker'], settings);
    processes = [api, worker];
    closers.push(() => Promise.all(processes.map((process) => process.close())));
    url = await api.apiUrl();
    await worker.logged('the worker runs');
  });

  function post(body: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${url}/v1/data/traces`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers },
      body,
    });
  }

  /** Waits until the trace has a span of this name. */
  function span(traceId: string, name: string): Promise<CollectedSpan> {
    return eventually(async () => collector.spans(traceId).find((found) => found.name === name));
  }

  it('a request is one trace, over its batch and its job to the statement that stores it', async () => {
    const [traceId, callerSpan] = [hex(16), hex(8)];
    const sent = await post('{"data": {"id": "a"}}', { traceparent: `00-${traceId}-${callerSpan}-01` });
    expect(sent.status).toBe(202);

    const job = await span(traceId, 'process inlet');
    const http = await span(traceId, 'POST /v1/data/:namespace');
    const enqueue = await span(traceId, 'enqueue batch');
    const store = await span(traceId, 'postgres upsert-objects');
    const add = await span(traceId, 'add inlet.batch');
    const handler = await span(traceId, 'handler');
    expect(http).toMatchObject({ parentSpanId: callerSpan, kind: 2, service: 'inlet-api' });
    expect(handler.parentSpanId).toBe(http.spanId);
    expect(enqueue).toMatchObject({ parentSpanId: handler.spanId, kind: 4 });
    expect(enqueue.links).toMatchObject([{ traceId, spanId: handler.spanId }]);
    expect(add.parentSpanId).toBe(enqueue.spanId);
    expect(job).toMatchObject({ parentSpanId: add.spanId, kind: 5, service: 'inlet-worker' });
    expect(store).toMatchObject({ parentSpanId: job.spanId, kind: 3, service: 'inlet-worker' });
    expect(attributeOf(http, 'http.response.status_code')).toBe(202);

    const command = redisUrl ? 'redis evalsha' : 'postgres SELECT';
    const ofQueue = collector.spans(traceId).filter(({ name }) => name === command);
    expect(new Set(ofQueue.map(({ service }) => service))).toEqual(new Set(['inlet-api', 'inlet-worker']));
  });

  it('the enqueue of a batch links to all of its requests', async () => {
    const traces = Array.from({ length: 50 }, () => hex(16));
    await Promise.all(
      traces.map(async (traceId, i) => {
        const sent = await post(`{"data": {"id": "${i}"}}`, { traceparent: `00-${traceId}-${hex(8)}-01` });
        expect(sent.status).toBe(202);
      }),
    );
    const linked = await eventually(async () => {
      const enqueues = collector.spans().filter(({ name }) => name === 'enqueue batch');
      const links = enqueues.flatMap((enqueue) => enqueue.links ?? []);
      return links.length >= traces.length ? { enqueues, links } : undefined;
    });
    expect(linked.enqueues.length).toBeLessThan(traces.length);
    expect(linked.links.map(({ traceId }) => traceId).sort()).toEqual([...traces].sort());
    for (const enqueue of linked.enqueues) {
      expect(enqueue.traceId).toBe(enqueue.links?.[0]?.traceId);
      expect(attributeOf(enqueue, 'messaging.batch.message_count')).toBe(enqueue.links?.length);
    }
  });

  it('a caller who does not want to be traced is not, nor is what nobody has asked for', async () => {
    const [unwanted, wanted] = [hex(16), hex(16)];
    await post('{"data": {"id": "a"}}', { traceparent: `00-${unwanted}-${hex(8)}-00` });
    await fetch(`${url}/healthz`);
    await fetch(`${url}/readyz`);
    await fetch(`${url}/metrics`);
    await post('{"data": {"id": "b"}}', { traceparent: `00-${wanted}-${hex(8)}-01` });
    await span(wanted, 'postgres upsert-objects');
    for (const process of processes) await process.kill('SIGTERM');
    expect(new Set(collector.spans().map(({ traceId }) => traceId))).toEqual(new Set([wanted]));
  });

  it('nothing of bodies, ids, keys, signatures, baggage and errors is in them', async () => {
    await query(
      databaseUrl,
      `CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION 'refused %', new.data::text; END $$;
       CREATE TRIGGER tell BEFORE INSERT ON inlet.objects FOR EACH ROW
       WHEN (new.data ? 'refuse') EXECUTE FUNCTION tell()`,
    );
    const traced = (traceId: string) => ({
      traceparent: `00-${traceId}-${hex(8)}-01`,
      baggage: `user=${MARKER}`,
    });
    const key = { authorization: `Bearer ${KEY}` };
    const refused = hex(16);
    const body = `{"data": [{"id": "${MARKER}-1", "text": "${MARKER}"}, {"id": "2", "refuse": "${MARKER}"}]}`;
    expect((await post(body, traced(refused))).status).toBe(202);
    const wrongKey = hex(16);
    const unauthorized = await post('{}', { ...traced(wrongKey), authorization: `Bearer sk_${MARKER}` });
    expect(unauthorized.status).toBe(401);
    const invalid = hex(16);
    expect((await post(`{"${MARKER}`, traced(invalid))).status).toBe(400);
    const read = hex(16);
    await fetch(`${url}/v1/data/traces/objects/${MARKER}-1?x=${MARKER}`, {
      headers: { ...key, ...traced(read) },
    });
    const made = await fetch(`${url}/v1/data/traces/import`, { method: 'POST', headers: key });
    const { upload_url } = (await made.json()) as { upload_url: string };
    const uploaded = hex(16);
    const upload = await fetch(upload_url, {
      method: 'PUT',
      headers: { ...traced(uploaded), 'content-type': 'application/x-ndjson' },
      body: `{"id": "${MARKER}-3", "text": "${MARKER}"}\n{"id": "4", "refuse": "${MARKER}"}\n`,
    });
    expect(upload.status).toBe(200);

    await span(refused, 'process inlet');
    await span(uploaded, 'process inlet-imports');
    await span(read, 'postgres find-object');
    await span(invalid, 'POST /v1/data/:namespace');
    await span(wrongKey, 'POST /v1/data/:namespace');
    for (const process of processes) expect((await process.kill('SIGTERM')).code).toBe(0);
    // It was seen that a statement failed, but not why.
    expect(collector.spans(refused).some(({ status }) => status.code === 2)).toBe(true);
    const signature = new URL(upload_url).search.split(/[=&]/).filter((part) => part.length > 16);
    expect(signature).not.toEqual([]);
    for (const secret of [MARKER, KEY, ...signature]) expect(collector.received).not.toContain(secret);
  });

  it('a stop does not wait for a collector that is away', async () => {
    await post('{"data": {"id": "a"}}');
    await collector.close();
    const begun = performance.now();
    const ended = await Promise.all(processes.map((process) => process.kill('SIGTERM')));
    expect(ended.map(({ code }) => code)).toEqual([0, 0]);
    expect(performance.now() - begun).toBeLessThan(20_000);
  });
});
