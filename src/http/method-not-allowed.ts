/** Known path, other method: 405 with `Allow`, where Fastify would say 404. */
import type { FastifyInstance, HTTPMethods } from 'fastify';
import { ProblemError } from '../errors.ts';

const METHODS: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/**
 * Notes the routes as they are registered.
 * @returns a function that answers all other methods of those paths; call it after the last route
 */
export function methodNotAllowed(app: FastifyInstance): () => void {
  const allowed = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = allowed.get(url) ?? new Set();
    for (const one of Array.isArray(method) ? method : [method]) methods.add(one);
    allowed.set(url, methods);
  });
  return () => {
    for (const [url, methods] of [...allowed]) {
      const allow = [...methods].sort().join(', ');
      app.route({
        url,
        method: METHODS.filter((method) => !methods.has(method)),
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
