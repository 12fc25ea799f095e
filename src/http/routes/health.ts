/** `GET /healthz` and `/readyz`: whether the process lives, and whether it can take work. */
import type { FastifyInstance } from 'fastify';

export interface Readiness {
  readonly queue: 'up' | 'down';
  readonly store: 'up' | 'down';
  /** Whether that is enough for what this process does. */
  readonly ready: boolean;
  /** Whether writes are taken, where this process takes any. While only they are refused it is ready all the same. */
  readonly writes?: 'accepted' | 'refused';
  /** What makes the queue less durable than an acknowledgement promises, and why writes are refused. */
  readonly warnings: readonly string[];
}

export interface HealthRouteDeps {
  readonly readiness: () => Promise<Readiness>;
  /** What only a restart would mend; undefined where there is nothing of that kind. */
  readonly problem?: () => string | undefined;
}

export function healthRoutes(app: FastifyInstance, { readiness, problem }: HealthRouteDeps): void {
  app.get('/healthz', { config: { quiet: true } }, async (_request, reply) => {
    const found = problem?.();
    reply.code(found === undefined ? 200 : 503).header('cache-control', 'no-store');
    return found === undefined ? { status: 'ok' } : { status: 'stuck', problem: found };
  });

  app.get('/readyz', { config: { quiet: true } }, async (_request, reply) => {
    const { ready, queue, store, writes, warnings } = await readiness();
    reply.code(ready ? 200 : 503).header('cache-control', 'no-store');
    return {
      status: ready ? 'ready' : 'not_ready',
      queue,
      store,
      ...(writes ? { writes } : {}),
      ...(warnings.length > 0 ? { warnings } : {}),
    };
  });
}
