/** The routes of servers, as Fastify announces them. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { FastifyInstance, RouteOptions } from 'fastify';

const CHANNEL = 'fastify.initialization';

/** Notes the routes of all servers that are made while `run` runs. */
export async function routesMadeBy<T>(
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly routes: readonly RouteOptions[] }> {
  const routes: RouteOptions[] = [];
  const onInitialization = (message: unknown): void => {
    const { fastify } = message as { fastify: FastifyInstance };
    // Copied: the object is used again for the next path of a route.
    fastify.addHook('onRoute', (route) => {
      routes.push({ ...route });
    });
  };
  subscribe(CHANNEL, onInitialization);
  try {
    return { result: await run(), routes };
  } finally {
    unsubscribe(CHANNEL, onInitialization);
  }
}
