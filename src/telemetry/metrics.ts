/**
 * The metrics of a process. Each call of {@link createMetrics} stands by itself, so that several Inlets can run in one
 * process; where one process is both API and worker, both are handed the same.
 */
import type { EvaluatorObserver } from '../evaluation/evaluator.ts';
import type { OnAnswered } from '../http/request-log.ts';
import type { EnqueueObserver } from '../ingest/observed-queue.ts';
import type { BatchObserver } from '../ingest/worker.ts';
import type { QueueLoad } from '../queue/queue.ts';
import type { PoolUse } from '../store/database.ts';
import { enqueueMetrics, requestMetrics } from './api-metrics.ts';
import { evaluationMetrics } from './evaluation-metrics.ts';
import type { Registry } from './registry.ts';
import { createRegistry } from './registry.ts';
import { buildMetric, poolMetrics, queueMetrics } from './shared-metrics.ts';
import type { WebhookObserver } from './webhook-metrics.ts';
import { webhookMetrics } from './webhook-metrics.ts';
import type { WatchedWorker } from './worker-metrics.ts';
import { storeMetrics, watchMetrics } from './worker-metrics.ts';

/** Who is told of what the API does. */
export interface ApiObservers {
  readonly onAnswered: OnAnswered;
  readonly enqueues: EnqueueObserver;
}

export class Metrics {
  readonly #registry: Registry = createRegistry();
  readonly #pools = new Map<string, () => PoolUse>();
  #queueLoad: () => QueueLoad | undefined = () => undefined;

  /** @param version Inlet's */
  constructor(version: string) {
    buildMetric(this.#registry, version);
    poolMetrics(this.#registry, this.#pools);
    queueMetrics(this.#registry, () => this.#queueLoad());
  }

  /**
   * Measures an API.
   * @param isRefusing whether writes are refused because the queue is full
   */
  api(isRefusing: () => boolean): ApiObservers {
    this.#registry.gauge(
      'inlet_backpressure',
      'Whether writes are refused because the queue is full: 1 or 0.',
      () => Number(isRefusing()),
    );
    return { onAnswered: requestMetrics(this.#registry), enqueues: enqueueMetrics(this.#registry) };
  }

  /** Measures a worker. */
  worker(watch: WatchedWorker): BatchObserver {
    watchMetrics(this.#registry, watch);
    return storeMetrics(this.#registry);
  }

  /** Measures the evaluation of a worker. @param waiting the latest that is known of how much waits */
  evaluation(waiting: () => number | undefined): EvaluatorObserver {
    return evaluationMetrics(this.#registry, waiting);
  }

  /** Measures webhooks. @param oldestMs as that of {@link webhookMetrics} */
  webhooks(oldestMs: () => number | undefined): WebhookObserver {
    return webhookMetrics(this.#registry, oldestMs);
  }

  /** Measures what is kept of failed objects. @param count the latest that is known; undefined where that is nothing */
  failedObjects(count: () => number | undefined): void {
    this.#registry.gauge(
      'inlet_failed_objects',
      'Failed objects that wait for somebody to replay or discard them; 100,000 stands for as many or more. The same from every worker: take the maximum.',
      count,
    );
  }

  /** Measures what was lost. @param count losses that no operator has accepted */
  losses(count: () => number): void {
    this.#registry.gauge(
      'inlet_losses',
      'Losses of acknowledged writes that were noticed and that no operator has accepted. The same from every API: take the maximum.',
      count,
    );
  }

  /** Measures the queue. @param load the latest that is known of it; undefined where that is nothing */
  queue(load: () => QueueLoad | undefined): void {
    this.#queueLoad = load;
  }

  /** Measures a pool of connections to Postgres. @param name what it is for */
  pool(name: string, use: () => PoolUse): void {
    this.#pools.set(name, use);
  }

  /** All of them in Prometheus's text format. */
  text(): Promise<string> {
    return this.#registry.text();
  }

  /** Stops measuring. */
  close(): Promise<void> {
    return this.#registry.close();
  }
}
