/** A collector for tests: takes what is sent over OTLP/HTTP as JSON, and keeps it. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: readonly { readonly key: string; readonly value: Record<string, unknown> }[];
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status: { readonly code?: number; readonly message?: string };
  /** Of the process that has sent it. */
  readonly service: string;
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: CollectedSpan['attributes'] };
    readonly scopeSpans: readonly { readonly spans: readonly CollectedSpan[] }[];
  }[];
}

export class TestCollector {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly url: string;
  /** All that has come, as it came. */
  received = '';
  readonly #spans: CollectedSpan[] = [];
  readonly #close: () => Promise<void>;

  private constructor(url: string, close: () => Promise<void>) {
    this.url = url;
    this.#close = close;
  }

  static async start(): Promise<TestCollector> {
    const server = createServer(async (request, response) => {
      const body = await text(request);
      collector.received += `${request.url}\n${body}\n`;
      if (request.url === '/v1/traces') collector.#add(JSON.parse(body) as Export);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const collector = new TestCollector(`http://127.0.0.1:${port}`, async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    });
    return collector;
  }

  /** The spans of a trace, in the order in which they came; of all traces where none is named. */
  spans(traceId?: string): readonly CollectedSpan[] {
    return this.#spans.filter((span) => traceId === undefined || span.traceId === traceId);
  }

  close(): Promise<void> {
    return this.#close();
  }

  #add({ resourceSpans }: Export): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      const service = String(attributeOf(resource, 'service.name'));
      for (const { spans } of scopeSpans) this.#spans.push(...spans.map((span) => ({ ...span, service })));
    }
  }
}

/** An attribute's value. */
export function attributeOf({ attributes }: Pick<CollectedSpan, 'attributes'>, key: string): unknown {
  const value = attributes.find((attribute) => attribute.key === key)?.value;
  return value && Object.values(value)[0];
}
