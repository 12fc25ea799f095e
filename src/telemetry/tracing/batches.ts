/**
 * Traces of batches. A batch is put into the queue for many requests at once, and can be a part of one trace only: it
 * is that of the first request that is traced, and it has links to all of them.
 */
import type { Context, Link, Tracer } from '@opentelemetry/api';
import { context, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import type { BatchTracing } from '../../ingest/group-commit.ts';

export function batchTracing(tracer: Tracer): BatchTracing {
  return {
    current: () => context.active(),
    async enqueue(id, contexts, add) {
      const links = (contexts as Context[]).flatMap(linkTo);
      const parent = (contexts as Context[]).find((of) => linkTo(of).length > 0) ?? contexts[0];
      const span = tracer.startSpan(
        'enqueue batch',
        {
          kind: SpanKind.PRODUCER,
          // The conventions for batches: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
          attributes: {
            'messaging.system': 'bullmq',
            'messaging.destination.name': 'inlet',
            'messaging.operation.name': 'enqueue',
            'messaging.operation.type': 'send',
            'messaging.message.id': id,
            'messaging.batch.message_count': contexts.length,
          },
          links,
        },
        parent as Context,
      );
      try {
        await context.with(trace.setSpan(parent as Context, span), add);
      } catch (error) {
        span.setStatus({ code: SpanStatusCode.ERROR });
        throw error;
      } finally {
        span.end();
      }
    },
  };
}

/** A link to the request's span; none where its trace isn't kept. */
function linkTo(of: Context): Link[] {
  const spanContext = trace.getSpanContext(of);
  if (!spanContext || (spanContext.traceFlags & TraceFlags.SAMPLED) === 0) return [];
  return [{ context: spanContext }];
}
