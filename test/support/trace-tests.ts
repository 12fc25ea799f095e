/** What traces tell, from the request to the transaction, as a collector sees them, and what must never be in them. */
import { expect } from 'vitest';
import type { InletTest } from './fixtures.ts';
import type { QueueName } from './inlet.ts';
import { KEY } from './inlet.ts';
import { attributeOf } from './otlp.ts';
import { query } from './postgres.ts';
import { MARKER, signatureOf } from './secret-traffic.ts';
import { Traced, traceParent } from './traced.ts';
import { waitFor } from './wait-for.ts';

/** `test` with an API and a worker that are traced. */
export function withTraces(test: InletTest) {
  return test.extend('traced', { scope: 'file' }, async ({ config }, { onCleanup }) => {
    const traced = await Traced.start(config);
    onCleanup(() => traced.close());
    return traced;
  });
}

/** Declares the tests, which share those processes. */
export function testTraces(test: ReturnType<typeof withTraces>, queue: QueueName): void {
  test('a request is one trace, over its batch and its job to the statement that stores it', async ({
    traced,
  }) => {
    const [traceId, callerSpan] = [traced.begin(), '0123456789abcdef'];
    const headers = { traceparent: traceParent(traceId, true, callerSpan) };
    expect((await traced.post('{"data": {"id": "a"}}', undefined, headers)).status).toBe(202);

    const job = await traced.span(traceId, 'process inlet');
    const http = await traced.span(traceId, 'POST /v1/data/:namespace');
    const enqueue = await traced.span(traceId, 'enqueue batch');
    const store = await traced.span(traceId, 'postgres upsert-objects');
    const add = await traced.span(traceId, 'add inlet.batch');
    const handler = await traced.span(traceId, 'handler');
    expect(http).toMatchObject({ parentSpanId: callerSpan, kind: 2, service: 'inlet-api' });
    expect(handler.parentSpanId).toBe(http.spanId);
    expect(enqueue).toMatchObject({ parentSpanId: handler.spanId, kind: 4 });
    expect(enqueue.links).toMatchObject([{ traceId, spanId: handler.spanId }]);
    expect(add.parentSpanId).toBe(enqueue.spanId);
    expect(job).toMatchObject({ parentSpanId: add.spanId, kind: 5, service: 'inlet-worker' });
    expect(store).toMatchObject({ parentSpanId: job.spanId, kind: 3, service: 'inlet-worker' });
    expect(attributeOf(http, 'http.response.status_code')).toBe(202);

    const command = queue === 'redis' ? 'redis evalsha' : 'postgres SELECT';
    const ofQueue = traced.collector.spans(traceId).filter(({ name }) => name === command);
    expect(new Set(ofQueue.map(({ service }) => service))).toEqual(new Set(['inlet-api', 'inlet-worker']));
  });

  test('the enqueue of a batch links to all of its requests', async ({ traced }) => {
    const traces = Array.from({ length: 50 }, () => traced.begin());
    await Promise.all(
      traces.map(async (traceId, i) => {
        expect((await traced.post(`{"data": {"id": "${i}"}}`, traceId)).status).toBe(202);
      }),
    );
    const linked = await waitFor('all links', () => {
      const enqueues = traced.collector
        .spans()
        .filter(({ name, traceId }) => name === 'enqueue batch' && traces.includes(traceId));
      const links = enqueues.flatMap((enqueue) => enqueue.links ?? []);
      return links.length >= traces.length && { enqueues, links };
    });
    expect(linked.enqueues.length).toBeLessThan(traces.length);
    expect(linked.links.map(({ traceId }) => traceId).sort()).toEqual([...traces].sort());
    for (const enqueue of linked.enqueues) {
      expect(enqueue.traceId).toBe(enqueue.links?.[0]?.traceId);
      expect(attributeOf(enqueue, 'messaging.batch.message_count')).toBe(enqueue.links?.length);
    }
  });

  test('a caller who does not want to be traced is not, nor is what nobody has asked for', async ({
    traced,
    store: { database },
  }) => {
    const [unwanted, wanted] = [traced.begin(), traced.begin()];
    const write = { method: 'POST', body: '{"data": {"id": "unwanted"}}' };
    expect((await traced.fetch('/v1/data/traces', write, unwanted, false)).status).toBe(202);
    const isStored = { text: `SELECT FROM inlet.objects WHERE id = 'unwanted'` };
    await waitFor('it to be stored', async () => (await database.query(isStored)).length === 1);
    for (const path of ['/healthz', '/readyz', '/metrics']) await fetch(traced.url + path);
    await traced.post('{"data": {"id": "b"}}', wanted);
    await traced.span(wanted, 'postgres upsert-objects');
    await traced.span(wanted, 'process inlet');
    await traced.span(wanted, 'POST /v1/data/:namespace');
    // A process sends its spans in the order in which they have ended.
    const sent = traced.collector.spans().map(({ traceId }) => traceId);
    expect(sent).not.toContain(unwanted);
    expect(sent.filter((traceId) => !traced.begun.has(traceId))).toEqual([]);
  });

  // The last one: it ends the processes, so that all has been sent.
  test('nothing of bodies, ids, keys, signatures, baggage and errors is in them', async ({
    traced,
    databaseUrl,
  }) => {
    await query(
      databaseUrl,
      `CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION 'refused %', new.data::text; END $$;
       CREATE TRIGGER tell BEFORE INSERT ON inlet.objects FOR EACH ROW
       WHEN (new.data ? 'refuse') EXECUTE FUNCTION tell()`,
    );
    const [refused, wrongKey, invalid, read, uploaded] = Array.from({ length: 5 }, () => traced.begin()) as [
      string,
      string,
      string,
      string,
      string,
    ];
    const baggage = { baggage: `user=${MARKER}` };
    const body = `{"data": [{"id": "${MARKER}-1", "text": "${MARKER}"}, {"id": "2", "refuse": "${MARKER}"}]}`;
    expect((await traced.post(body, refused, baggage)).status).toBe(202);
    const unauthorized = await traced.post('{}', wrongKey, {
      ...{ ...baggage, authorization: `Bearer sk_${MARKER}` },
    });
    expect(unauthorized.status).toBe(401);
    expect((await traced.post(`{"${MARKER}`, invalid, baggage)).status).toBe(400);
    await traced.fetch(`/v1/data/traces/objects/${MARKER}-1?x=${MARKER}`, { headers: baggage }, read);
    const made = await traced.fetch('/v1/data/traces/import', { method: 'POST' }, traced.begin());
    const { upload_url } = (await made.json()) as { upload_url: string };
    const upload = await fetch(upload_url, {
      method: 'PUT',
      headers: { ...baggage, traceparent: traceParent(uploaded), 'content-type': 'application/x-ndjson' },
      body: `{"id": "${MARKER}-3", "text": "${MARKER}"}\n{"id": "4", "refuse": "${MARKER}"}\n`,
    });
    expect(upload.status).toBe(200);

    await traced.span(refused, 'process inlet');
    await traced.span(uploaded, 'process inlet-imports');
    await traced.span(read, 'postgres find-object');
    await traced.span(invalid, 'POST /v1/data/:namespace');
    await traced.span(wrongKey, 'POST /v1/data/:namespace');
    const ended = await Promise.all(traced.processes.map((process) => process.kill('SIGTERM')));
    expect(ended.map(({ code }) => code)).toEqual([0, 0]);
    const { collector } = traced;
    // It was seen that a statement failed, but not why.
    expect(collector.spans(refused).some(({ status }) => status.code === 2)).toBe(true);
    const signature = signatureOf(upload_url);
    expect(signature).not.toEqual([]);
    for (const secret of [MARKER, KEY, ...signature]) expect(collector.received).not.toContain(secret);
    expect(collector.spans().filter(({ traceId }) => !traced.begun.has(traceId))).toEqual([]);
  });
}
