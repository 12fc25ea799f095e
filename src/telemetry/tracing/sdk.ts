/** Sets OpenTelemetry up: what is watched, what is kept of it, and where it goes. */
import { createRequire } from 'node:module';
import { FastifyOtelInstrumentation } from '@fastify/otel';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { IORedisInstrumentation } from '@opentelemetry/instrumentation-ioredis';
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { withDeadline } from '../../closing.ts';
import { errorReporter } from '../../telemetry.ts';
import { VERSION } from '../../version.ts';
import { batchTracing } from './batches.ts';
import { jobTracing } from './jobs.ts';
import { ScrubbingExporter } from './scrubbing-exporter.ts';
import type { Tracing, TracingOptions } from './types.ts';

/** Longest time that is given to sending what is left, in milliseconds. */
const FLUSH_MS = 3_000;

/** As many as a batch has requests. */
const MAX_LINKS = 1_000;

/** Asked again and again by machines, and of no interest to anybody. */
const NOT_TRACED: ReadonlySet<string> = new Set(['/healthz', '/readyz', '/metrics']);

/** Where to, how often, which part of all traces: the SDK reads all that from its `OTEL_…` variables. */
export function openTracing({ role, log }: TracingOptions): Tracing {
  const exporter = new ScrubbingExporter(
    new OTLPTraceExporter(),
    errorReporter(log, 'traces could not be sent'),
  );
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({
      'service.name': `inlet-${role}`,
      'service.version': VERSION,
    }).merge(detectResources({ detectors: [envDetector] })),
    spanLimits: { linkCountLimit: MAX_LINKS },
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  provider.register();
  registerInstrumentations({
    tracerProvider: provider,
    instrumentations: [
      new FastifyOtelInstrumentation({
        registerOnInitialization: true,
        instrumentHooks: false,
        recordExceptions: false,
        ignorePaths: ({ url }) => NOT_TRACED.has(url.split('?')[0] ?? ''),
        requestHook: (span, { method, routeOptions }) =>
          span.updateName(routeOptions.url === undefined ? method : `${method} ${routeOptions.url}`),
        // It would be the beginning of the source of the plugin that has the route.
        lifecycleHook: (span, { hookName }) => span.updateName(hookName),
      }),
      new PgInstrumentation({
        requireParentSpan: true,
        ignoreConnectSpans: true,
        requestHook: (span, { query }) => span.updateName(`postgres ${query.name ?? keyword(query.text)}`),
      }),
      new IORedisInstrumentation({
        requireParentSpan: true,
        requestHook: (span, { cmdName }) => span.updateName(`redis ${cmdName}`),
        // The arguments hold whole batches.
        dbStatementSerializer: (command) => command,
      }),
    ],
  });
  patchLoaded();
  return {
    queue: jobTracing(),
    batches: batchTracing(provider.getTracer('inlet', VERSION)),
    async close() {
      await withDeadline(provider.shutdown(), FLUSH_MS).catch((err: unknown) => {
        log.warn({ err }, 'the last traces could not be sent');
      });
    },
  };
}

/** The first word of a statement. */
function keyword(statement: string): string {
  return /^(?:\s|--[^\n]*\n)*(\w+)/.exec(statement)?.[1]?.toUpperCase() ?? 'statement';
}

/**
 * Instrumentations wait for a `require`, which imports of modules don't make. All three packages are CommonJS: to
 * require them now gives the same classes that were imported, whose prototypes are then patched in place.
 */
function patchLoaded(): void {
  const require = createRequire(import.meta.url);
  require('pg');
  createRequire(require.resolve('pg'))('pg-pool');
  require('ioredis');
}
