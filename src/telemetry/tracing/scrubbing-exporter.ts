/**
 * Lets spans out with what is known to be harmless, and with nothing else. Instrumentations put in what they find:
 * URLs with signatures and ids, messages of Postgres that quote values, results of jobs.
 */
import type { Attributes } from '@opentelemetry/api';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-node';

const ALLOWED: ReadonlySet<string> = new Set([
  ...['http.request.method', 'http.route', 'http.response.status_code'],
  ...['db.system.name', 'db.namespace', 'db.operation.name', 'server.address', 'server.port'],
  ...['messaging.system', 'messaging.destination.name', 'messaging.operation.name'],
  ...['messaging.operation.type', 'messaging.message.id', 'messaging.batch.message_count'],
  ...['bullmq.queue.name', 'bullmq.queue.operation', 'bullmq.job.id', 'bullmq.job.attempts.made'],
  ...['exception.type'],
]);

export class ScrubbingExporter implements SpanExporter {
  readonly #exporter: SpanExporter;
  readonly #onError: (error: Error) => void;

  /** @param onError told where spans could not be sent */
  constructor(exporter: SpanExporter, onError: (error: Error) => void) {
    this.#exporter = exporter;
    this.#onError = onError;
  }

  export(spans: ReadableSpan[], done: Parameters<SpanExporter['export']>[1]): void {
    this.#exporter.export(spans.map(scrubbed), (result) => {
      if (result.error) this.#onError(new Error(result.error.message));
      done(result);
    });
  }

  async forceFlush(): Promise<void> {
    await this.#exporter.forceFlush?.();
  }

  shutdown(): Promise<void> {
    return this.#exporter.shutdown();
  }
}

/** The span without whatever isn't named above. (It is a copy: getters of the SDK's class don't come along.) */
function scrubbed(span: ReadableSpan): ReadableSpan {
  return {
    name: span.name,
    kind: span.kind,
    spanContext: () => span.spanContext(),
    ...(span.parentSpanContext ? { parentSpanContext: span.parentSpanContext } : {}),
    startTime: span.startTime,
    endTime: span.endTime,
    duration: span.duration,
    ended: span.ended,
    // Its message is that of an error.
    status: { code: span.status.code },
    attributes: allowed(span.attributes),
    links: span.links.map(({ context }) => ({ context })),
    events: span.events.flatMap((event) =>
      event.name === 'exception' ? [{ ...event, attributes: allowed(event.attributes) }] : [],
    ),
    resource: span.resource,
    instrumentationScope: span.instrumentationScope,
    droppedAttributesCount: span.droppedAttributesCount,
    droppedEventsCount: span.droppedEventsCount,
    droppedLinksCount: span.droppedLinksCount,
  };
}

function allowed(attributes: Attributes = {}): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => ALLOWED.has(name)));
}
