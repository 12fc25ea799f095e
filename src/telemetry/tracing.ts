/**
 * Traces, from a request over its batch to the transaction that stores it; only where the settings name somebody who
 * takes them. Until then nothing of OpenTelemetry's tracing is loaded.
 */
import type { Tracing, TracingOptions } from './tracing/types.ts';

/** Begins to trace. To be called once in a process, and before its first connection is made. */
export async function startTracing(options: TracingOptions): Promise<Tracing | undefined> {
  if (options.otlpEndpoint === undefined) return undefined;
  const { openTracing } = await import('./tracing/sdk.ts');
  return openTracing(options);
}
