/** `GET /healthz`, `/readyz` and `/readyz/reads`: whether the process lives, and what of its work it can do. */
import type { FastifyInstance, FastifyReply } from 'fastify';

export interface Readiness {
  readonly queue: 'up' | 'down';
  readonly store: 'up' | 'down';
  /** Whether that is enough for what this process does. */
  readonly ready: boolean;
  /** Whether objects can be read. */
  readonly reads: boolean;
  /** Whether writes are taken, where this process takes any. While they are refused because the queue is full it is ready all the same. */
  readonly writes?: 'accepted' | 'refused';
  /** Whether it is about to stop, and a load balancer should turn to others. */
  readonly isStopping?: boolean;
  /** What was lost, what makes the queue less durable than an acknowledgement promises, and why writes are refused. */
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
    const { ready, ...parts } = await readiness();
    return answer(reply, ready, parts);
  });

  app.get('/readyz/reads', { config: { quiet: true } }, async (_request, reply) => {
    const { ready: _, reads, isStopping, ...parts } = await readiness();
    return answer(reply, reads && !isStopping, parts);
  });
}

function answer(reply: FastifyReply, isReady: boolean, found: Omit<Readiness, 'ready' | 'reads'>) {
  const { queue, store, writes, warnings } = found;
  reply.code(isReady ? 200 : 503).header('cache-control', 'no-store');
  return {
    status: isReady ? 'ready' : 'not_ready',
    queue,
    store,
    ...(writes ? { writes } : {}),
    ...(warnings.length > 0 ? { warnings } : {}),
  };
}
