/** Known path, other method: 405 with `Allow`, where Fastify would say 404. */
import type { FastifyInstance, HTTPMethods } from 'fastify';
import { ProblemError } from '../errors.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route is there to refuse methods. */
    readonly refusesMethods?: true;
  }
}

const METHODS: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/**
 * Notes the routes as they are registered.
 * @returns a function that answers all other methods of those paths; call it after the last route
 */
export function methodNotAllowed(app: FastifyInstance): () => void {
  const urls = new Set<string>();
  app.addHook('onRoute', ({ url }) => {
    urls.add(url);
  });
  return () => {
    for (const url of [...urls]) {
      // Asked for, because the hook isn't told of every method of a plugin's root.
      const served = METHODS.filter((method) => app.hasRoute({ url, method }));
      const allow = served.sort().join(', ');
      app.route({
        url,
        method: METHODS.filter((method) => !served.includes(method)),
        config: { refusesMethods: true },
        // Before the body is read: whatever it is, the method is wrong.
        onRequest: () => {
          throw new ProblemError('method_not_allowed', `this path answers to ${allow}`, {
            headers: { allow },
          });
        },
        handler: () => undefined,
      });
    }
  };
}
