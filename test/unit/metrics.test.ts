/** What is counted under which labels, and into which bucket. */
import { beforeEach, describe, expect, it } from 'vitest';
import { ProblemError } from '../../src/errors.ts';
import type { AnsweredRequest } from '../../src/http/request-log.ts';
import { observedQueue } from '../../src/ingest/observed-queue.ts';
import { QueueUnavailableError } from '../../src/queue/queue.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { createRegistry } from '../../src/telemetry/registry.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import type { Scrape } from '../support/prometheus.ts';
import { parseMetrics, total } from '../support/prometheus.ts';

describe('a histogram', () => {
  it('counts a value in each bucket from the first that it is not greater than', async () => {
    const registry = createRegistry();
    const histogram = registry.histogram('h', 'help', [1, 2, 5]);
    const [one, other] = [histogram.series({ lane: 'a' }), histogram.series({ lane: 'b' })];
    for (const value of [0.5, 1, 1.5, 5, 6]) one.record(value);
    other.record(2, 10);
    const found = parseMetrics(await registry.text());
    await registry.close();
    expect(found.types.get('h')).toBe('histogram');
    const buckets = (lane: string) =>
      ['1', '2', '5', '+Inf'].map((le) => total(found, 'h_bucket', { lane, le }));
    expect(buckets('a')).toEqual([2, 3, 4, 5]);
    expect(buckets('b')).toEqual([0, 10, 10, 10]);
    expect(total(found, 'h_sum', { lane: 'a' })).toBe(14);
    expect(total(found, 'h_sum', { lane: 'b' })).toBe(20);
    expect(total(found, 'h_count', { lane: 'b' })).toBe(10);
  });
});

const one = { namespace: 'ns', objects: [object('a')] };

describe('the metrics of a process', () => {
  let metrics: Metrics;
  let answered: (request: Partial<AnsweredRequest>) => void;

  beforeEach(() => {
    metrics = new Metrics('1.2.3');
    const { onAnswered } = metrics.api(() => true);
    answered = (request) =>
      onAnswered({ method: 'POST', route: '/x', status: 202, ms: 1, problem: undefined, ...request });
    return () => metrics.close();
  });

  const scrape = async (): Promise<Scrape> => parseMetrics(await metrics.text());

  it('count refused writes by reason, and neither reads nor what the client has got wrong', async () => {
    const full = new ProblemError('queue_full', 'x');
    const away = new ProblemError('unavailable', 'x', { reason: 'queue_unavailable' });
    answered({ status: 503, problem: full });
    answered({ status: 503, problem: full, method: 'PUT' });
    answered({ status: 503, problem: away, method: 'DELETE' });
    answered({ status: 429, problem: new ProblemError('rate_limited', 'x') });
    answered({ status: 503, problem: away, method: 'GET' });
    answered({ status: 400, problem: new ProblemError('invalid_request', 'x') });
    answered({});
    const found = await scrape();
    const refused = found.samples.filter(({ name }) => name === 'inlet_refused_writes_total');
    expect(Object.fromEntries(refused.map(({ labels, value }) => [labels['reason'], value]))).toEqual({
      ...{ queue_full: 2, queue_unavailable: 1, rate_limited: 1 },
    });
  });

  it('put methods that nobody knows under one label, and paths that there are not', async () => {
    for (const method of ['PROPFIND', 'MKCOL', 'POST']) answered({ method, route: undefined, status: 404 });
    const found = await scrape();
    const count = 'inlet_http_request_duration_seconds_count';
    expect(total(found, count, { method: 'other', route: 'none', status: '404' })).toBe(2);
    expect(total(found, count, { method: 'POST', route: 'none', status: '404' })).toBe(1);
  });

  it('have one series for each method, route and status, in seconds', async () => {
    for (let i = 0; i < 3; i += 1) answered({ ms: 4 });
    answered({ status: 400 });
    const found = await scrape();
    const series = found.samples.filter(({ name }) => name === 'inlet_http_request_duration_seconds_count');
    expect(series.map(({ value }) => value).sort()).toEqual([1, 3]);
    const labels = { method: 'POST', route: '/x', status: '202' };
    expect(total(found, 'inlet_http_request_duration_seconds_sum', labels)).toBeCloseTo(0.012);
    expect(total(found, 'inlet_http_request_duration_seconds_bucket', { ...labels, le: '0.003' })).toBe(0);
    expect(total(found, 'inlet_http_request_duration_seconds_bucket', { ...labels, le: '0.005' })).toBe(3);
  });

  it('tell of the queue, of pools, and what runs here', async () => {
    metrics.queue(() => ({
      depth: { writes: 7, imports: 2, replays: 0 },
      oldestAgeMs: 1_500,
      clockBehindMs: 0,
      memory: { usedBytes: 10, limitBytes: 20 },
    }));
    metrics.pool('api', () => ({ used: 3, idle: 4, waiting: 5, size: 10 }));
    const found = await scrape();
    expect(total(found, 'inlet_queue_batches', { lane: 'writes' })).toBe(7);
    expect(total(found, 'inlet_queue_oldest_batch_age_seconds')).toBe(1.5);
    expect(total(found, 'inlet_queue_memory_used_bytes')).toBe(10);
    expect(total(found, 'inlet_queue_memory_limit_bytes')).toBe(20);
    expect(total(found, 'inlet_database_connections', { pool: 'api', state: 'used' })).toBe(3);
    expect(total(found, 'inlet_database_connection_waiters', { pool: 'api' })).toBe(5);
    expect(total(found, 'inlet_backpressure')).toBe(1);
    expect(total(found, 'inlet_build_info', { version: '1.2.3' })).toBe(1);
  });

  it('tell what became of batches, those of imports apart', async () => {
    const observer = metrics.worker({ inHand: () => 2, problem: () => 'it hangs' });
    const batch = { ...handMadeBatch(Date.now() * 1_000 - 5e6, [one, one, one]) };
    observer.onStored?.(batch, { requests: 3, objects: 6, stored: 3, overtaken: 2, failed: 1 }, 20);
    observer.onFault?.('unavailable');
    observer.onFault?.('unavailable');
    observer.onFault?.('unexpected');
    const found = await scrape();
    const outcome = (name: string) => total(found, 'inlet_objects_total', { outcome: name });
    expect([outcome('stored'), outcome('overtaken'), outcome('failed')]).toEqual([3, 2, 1]);
    // Each request counts once.
    expect(total(found, 'inlet_accepted_to_stored_seconds_count', { lane: 'writes' })).toBe(3);
    expect(total(found, 'inlet_accepted_to_stored_seconds_sum', { lane: 'writes' })).toBeGreaterThan(14);
    expect(total(found, 'inlet_store_duration_seconds_sum', { lane: 'writes' })).toBeCloseTo(0.02);
    expect(total(found, 'inlet_store_retries_total', { reason: 'unavailable' })).toBe(2);
    expect(total(found, 'inlet_store_retries_total', { reason: 'unexpected' })).toBe(1);
    expect(total(found, 'inlet_worker_batches', { lane: 'imports' })).toBe(2);
    expect(total(found, 'inlet_worker_stuck')).toBe(1);
  });

  it('tell of batches that get into the queue, and of those that do not', async () => {
    const { enqueues } = metrics.api(() => false);
    let isAway = false;
    const add = async () => {
      if (isAway) throw new QueueUnavailableError('away');
    };
    const queue = observedQueue(
      { add, importBacklog: async () => 0, stamp: async () => ({ stamp: 1, acceptedAt: 1 }) },
      enqueues,
    );
    const batch = handMadeBatch(1, [one, one]);
    await queue.add(batch);
    isAway = true;
    await expect(queue.add(batch)).rejects.toThrow(QueueUnavailableError);
    const found = await scrape();
    expect(total(found, 'inlet_enqueue_duration_seconds_count', { lane: 'writes' })).toBe(1);
    expect(total(found, 'inlet_batch_requests_sum', { lane: 'writes' })).toBe(2);
    expect(total(found, 'inlet_batch_bytes_sum', { lane: 'writes' })).toBe(batch.objects.length);
    expect(total(found, 'inlet_enqueue_failures_total', { lane: 'writes' })).toBe(1);
  });

  it('say nothing of a queue that cannot be asked', async () => {
    metrics.queue(() => undefined);
    expect(total(await scrape(), 'inlet_queue_batches')).toBeUndefined();
  });
});
