/**
 * Traces, from a request over its batch to the transaction that stores it; only where the settings name somebody who
 * takes them. Until then nothing of OpenTelemetry's tracing is loaded.
 */
import type { Telemetry } from 'bullmq';
import type { BatchTracing } from '../ingest/group-commit.ts';
import type { Log } from '../telemetry.ts';

/** What makes a process's doings show in traces. Fastify, pg and ioredis are watched from outside. */
export interface Tracing {
  /** Carries a trace through BullMQ's jobs. */
  readonly queue: Telemetry;
  /** Carries the traces of requests over to their batch. */
  readonly batches: BatchTracing;
  /** Sends what is left, for a few seconds at most. */
  close(): Promise<void>;
}

export interface TracingOptions {
  /** Undefined: there are no traces. */
  readonly otlpEndpoint: string | undefined;
  /** What this process is: `api`, `worker` or `serve`. */
  readonly role: string;
  readonly log: Log;
}

/** Begins to trace. To be called once in a process, and before its first connection is made. */
export async function startTracing(options: TracingOptions): Promise<Tracing | undefined> {
  if (options.otlpEndpoint === undefined) return undefined;
  const { openTracing } = await import('./tracing/sdk.ts');
  return openTracing(options);
}
