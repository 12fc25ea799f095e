/** What tracing is asked for, and what it gives. */
import type { Telemetry } from 'bullmq';
import type { BatchTracing } from '../../ingest/group-commit.ts';
import type { Log } from '../../telemetry.ts';

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
