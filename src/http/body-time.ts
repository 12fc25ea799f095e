/** A limit on how long a body may take to arrive, so that slow clients can't hold connections for ever. */
import type { FastifyInstance, FastifyRequest } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route's bodies may take any time: it sees to it itself that they don't stop. */
    takesAnyTime?: true;
  }
}

/**
 * Limits the time of bodies on all routes that don't opt out.
 * @param refuse answers and ends the connection
 */
export function limitBodyTime(
  app: FastifyInstance,
  ms: number,
  refuse: (request: FastifyRequest) => void,
): void {
  app.addHook('onRequest', (request, _reply, done) => {
    const { raw, headers } = request;
    const hasBody = Number(headers['content-length'] ?? 0) > 0 || headers['transfer-encoding'] !== undefined;
    if (hasBody && !request.routeOptions.config.takesAnyTime) {
      const timer = setTimeout(() => {
        if (!raw.complete) refuse(request);
      }, ms);
      raw.once('close', () => clearTimeout(timer));
    }
    done();
  });
}
