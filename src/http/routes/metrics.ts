/** `GET /metrics`: what is measured, in Prometheus's text format. */
import type { FastifyInstance } from 'fastify';
import type { Scope } from '../../domain/api-key.ts';

export interface MetricsRouteDeps {
  /** All metrics as text. */
  readonly metricsText: () => Promise<string>;
}

const MEDIA_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** @param scope what a key has to have; undefined where everybody may read them */
export function metricsRoute(app: FastifyInstance, { metricsText }: MetricsRouteDeps, scope?: Scope): void {
  const config = { quiet: true, ...(scope ? { access: { scope } } : {}) } as const;
  app.get('/metrics', { config }, async (_request, reply) => {
    reply.header('content-type', MEDIA_TYPE).header('cache-control', 'no-store');
    return metricsText();
  });
}
