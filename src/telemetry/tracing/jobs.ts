/** Traces of jobs: a job carries with it the trace of what it was added by, and its worker goes on with that. */
import { context, propagation, ROOT_CONTEXT } from '@opentelemetry/api';
import type { Telemetry } from 'bullmq';
import { SpanKind } from 'bullmq';
import { BullMQOtel } from 'bullmq-otel';

type Span = ReturnType<Telemetry['tracer']['startSpan']>;

/** What BullMQ does for itself, like asking for the next job, makes no span, nor do its commands. */
const NO_SPAN: Span = {
  setSpanOnContext: (of) => of,
  setAttribute: () => undefined,
  setAttributes: () => undefined,
  addEvent: () => undefined,
  recordException: () => undefined,
  end: () => undefined,
};

export function jobTracing(): Telemetry {
  const { tracer, contextManager }: Telemetry = new BullMQOtel({ tracerName: 'bullmq' });
  return {
    tracer: {
      startSpan: (name, options, of) =>
        options?.kind === SpanKind.PRODUCER || options?.kind === SpanKind.CONSUMER
          ? tracer.startSpan(name, options, of)
          : NO_SPAN,
    },
    contextManager: {
      with: (of, run) => contextManager.with(of, run),
      active: () => context.active(),
      // For loops that never end, which must not belong to the trace in which they were begun.
      root: () => ROOT_CONTEXT,
      // What a client has sent along as baggage is not for the queue.
      getMetadata: (of) => contextManager.getMetadata(propagation.deleteBaggage(of)),
      fromMetadata: (active, metadata) => contextManager.fromMetadata(active, metadata),
    },
  };
}
