/** `GET /metrics`: what is measured, in Prometheus's text format. */
import type { FastifyInstance } from 'fastify';

export interface MetricsRouteDeps {
  /** All metrics as text. */
  readonly metricsText: () => Promise<string>;
}

const MEDIA_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export function metricsRoute(app: FastifyInstance, { metricsText }: MetricsRouteDeps): void {
  app.get('/metrics', { config: { quiet: true } }, async (_request, reply) => {
    reply.header('content-type', MEDIA_TYPE).header('cache-control', 'no-store');
    return metricsText();
  });
}
