/** `GET /metrics`: what is measured, in Prometheus's text format. */
import type { FastifyInstance } from 'fastify';
import type { Scope } from '../../domain/api-key.ts';

export interface MetricsRouteDeps {
  /** All metrics as text. */
  readonly metricsText: () => Promise<string>;
}

/** How long one text is answered with, in milliseconds: it takes a few to make, and anybody may ask for it. */
const FRESH_MS = 1_000;

const MEDIA_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** @param scope what a key has to have; undefined where everybody may read them */
export function metricsRoute(app: FastifyInstance, { metricsText }: MetricsRouteDeps, scope?: Scope): void {
  let text: Promise<string> | undefined;
  let madeAt = 0;
  const freshText = (): Promise<string> => {
    if (text === undefined || performance.now() - madeAt >= FRESH_MS) {
      text = metricsText();
      madeAt = performance.now();
    }
    return text;
  };
  const config = { quiet: true, ...(scope ? { access: { scope } } : {}) } as const;
  app.get('/metrics', { config }, async (_request, reply) => {
    reply.header('content-type', MEDIA_TYPE).header('cache-control', 'no-store');
    return freshText();
  });
}
