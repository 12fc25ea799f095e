/** An API and a worker, each a process that sends its traces to a collector: tracing changes the modules of a process. */
import { randomBytes } from 'node:crypto';
import type { RuntimeConfig } from '../../src/runtime.ts';
import { KEY } from './inlet.ts';
import type { CollectedSpan } from './otlp.ts';
import { TestCollector } from './otlp.ts';
import { InletProcess } from './process.ts';
import { waitFor } from './wait-for.ts';

export class Traced {
  readonly collector: TestCollector;
  readonly processes: readonly InletProcess[];
  /** Of the API. */
  readonly url: string;
  /** The traces that tests have begun. */
  readonly begun = new Set<string>();

  private constructor(collector: TestCollector, processes: readonly InletProcess[], url: string) {
    this.collector = collector;
    this.processes = processes;
    this.url = url;
  }

  static async start({ databaseUrl, redisUrl, redisPrefix }: RuntimeConfig): Promise<Traced> {
    const collector = await TestCollector.start();
    const settings = {
      ...{ DATABASE_URL: databaseUrl, INLET_API_KEYS: KEY, PORT: '0', INLET_WORKER_PORT: '0' },
      ...(redisUrl ? { REDIS_URL: redisUrl, INLET_REDIS_PREFIX: redisPrefix } : {}),
      ...{ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '100' },
    };
    const processes = ['api', 'worker'].map((role) => new InletProcess([role], settings));
    const [api, worker] = processes as [InletProcess, InletProcess];
    const traced = (url: string) => new Traced(collector, processes, url);
    try {
      const url = await api.apiUrl();
      await worker.logged('the worker runs');
      return traced(url);
    } catch (error) {
      await traced('').close();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const process of this.processes) await process.close();
    await this.collector.close();
  }

  /** Begins a trace. */
  begin(): string {
    const traceId = randomBytes(16).toString('hex');
    this.begun.add(traceId);
    return traceId;
  }

  /** Sends a request with the key, of a trace unless it has none. */
  fetch(path: string, init: RequestInit = {}, traceId?: string, isWanted = true): Promise<Response> {
    const headers = new Headers({ authorization: `Bearer ${KEY}`, 'content-type': 'application/json' });
    if (traceId !== undefined) headers.set('traceparent', traceParent(traceId, isWanted));
    for (const [name, value] of new Headers(init.headers)) headers.set(name, value);
    return fetch(new URL(path, this.url), { ...init, headers });
  }

  post(body: string, traceId?: string, headers: Record<string, string> = {}): Promise<Response> {
    return this.fetch('/v1/data/traces', { method: 'POST', body, headers }, traceId);
  }

  /** Waits until the trace has a span of this name. */
  span(traceId: string, name: string): Promise<CollectedSpan> {
    return waitFor(`the span ${name}`, () =>
      this.collector.spans(traceId).find((found) => found.name === name),
    );
  }
}

/** The header of a caller whose own span is made up. */
export function traceParent(
  traceId: string,
  isWanted = true,
  spanId = randomBytes(8).toString('hex'),
): string {
  return `00-${traceId}-${spanId}-${isWanted ? '01' : '00'}`;
}
