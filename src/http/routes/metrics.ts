/** `GET /metrics`: what is measured, in Prometheus's text format. */
import type { FastifyInstance } from 'fastify';
import type { Access } from '../auth.ts';

export interface MetricsRouteDeps {
  /** All metrics as text. */
  readonly metricsText: () => Promise<string>;
}

const MEDIA_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** @param access who may read them; undefined where everybody may */
export function metricsRoute(app: FastifyInstance, { metricsText }: MetricsRouteDeps, access?: Access): void {
  const config = { quiet: true, ...(access ? { access } : {}) } as const;
  app.get('/metrics', { config }, async (_request, reply) => {
    reply.header('content-type', MEDIA_TYPE).header('cache-control', 'no-store');
    return metricsText();
  });
}
