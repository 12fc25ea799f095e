/** What is measured of the API: requests, and how they get into the queue. */
import type { AnsweredRequest, OnAnswered } from '../http/request-log.ts';
import type { EnqueueObserver } from '../ingest/observed-queue.ts';
import type { ByLane, Lane } from '../queue/lane.ts';
import { byLane, LANES } from '../queue/lane.ts';
import type { Histogram, Series } from './histogram.ts';
import type { Registry } from './registry.ts';

/** In seconds: fine where an answer is expected, from 1 ms on. */
const REQUEST_SECONDS = [
  ...[0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075],
  ...[0.1, 0.2, 0.5, 1, 2, 5, 10],
];
const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 10_000];
const BYTES = [256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216];

/** Methods that clients make up must not make series. */
const METHODS: ReadonlySet<string> = new Set([
  ...['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'],
]);

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** Makes the metrics of requests. */
export function requestMetrics(registry: Registry): OnAnswered {
  const seconds = registry.histogram(
    'inlet_http_request_duration_seconds',
    'Time from the headers of a request to the end of its answer, and the number of requests.',
    REQUEST_SECONDS,
  );
  const refused = new Map<string, number>();
  registry.counter(
    'inlet_refused_writes_total',
    'Writes that were refused though there was nothing wrong with them, to be sent again later.',
    () => [...refused].map(([reason, count]) => [count, { reason }] as const),
  );
  const seriesOf = new RequestSeries(seconds);
  for (const reason of ['queue_full', 'queue_unavailable', 'rate_limited']) refused.set(reason, 0);

  return (request) => {
    seriesOf.find(request).record(request.ms / 1_000);
    const { method, status, problem } = request;
    if ((status !== 503 && status !== 429) || !problem || READS.has(method)) return;
    const reason = problem.reason ?? problem.code;
    refused.set(reason, (refused.get(reason) ?? 0) + 1);
  };
}

/** Three look-ups in small maps: faster than one under a name that is put together first. */
class RequestSeries {
  readonly #histogram: Histogram;
  readonly #series = new Map<string, Map<string, Map<number, Series>>>();

  constructor(histogram: Histogram) {
    this.#histogram = histogram;
  }

  find({ method, route = 'none', status }: AnsweredRequest): Series {
    const known = METHODS.has(method) ? method : 'other';
    return this.#series.get(route)?.get(known)?.get(status) ?? this.#add(route, known, status);
  }

  #add(route: string, method: string, status: number): Series {
    const ofRoute = this.#series.get(route) ?? new Map<string, Map<number, Series>>();
    const ofMethod = ofRoute.get(method) ?? new Map<number, Series>();
    const series = this.#histogram.series({ method, route, status: String(status) });
    this.#series.set(route, ofRoute.set(method, ofMethod.set(status, series)));
    return series;
  }
}

/** Makes the metrics of batches on their way into the queue. */
export function enqueueMetrics(registry: Registry): EnqueueObserver {
  const histogram = (name: string, help: string, bounds: readonly number[]): ByLane<Series> => {
    const made = registry.histogram(name, help, bounds);
    return byLane((lane) => made.series({ lane }));
  };
  const seconds = histogram(
    'inlet_enqueue_duration_seconds',
    'Time that it took until a batch was durably in the queue.',
    REQUEST_SECONDS,
  );
  const requests = histogram('inlet_batch_requests', 'Requests that a batch carries.', COUNTS);
  const objects = histogram('inlet_batch_objects', 'Objects that a batch carries.', COUNTS);
  const bytes = histogram('inlet_batch_bytes', "Size of the text of a batch's objects.", BYTES);
  const failures: Record<Lane, number> = { ...byLane(() => 0) };
  registry.counter('inlet_enqueue_failures_total', 'Batches that did not get into the queue.', () =>
    LANES.map((lane) => [failures[lane], { lane }]),
  );
  return {
    onEnqueued(lane, batch, ms) {
      seconds[lane].record(ms / 1_000);
      requests[lane].record(batch.requests.length);
      objects[lane].record(batch.requests.reduce((sum, { ids }) => sum + ids.length, 0));
      bytes[lane].record(Buffer.byteLength(batch.objects));
    },
    onFailed(lane) {
      failures[lane] += 1;
    },
  };
}
