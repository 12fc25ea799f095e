/** The HTTP side of the alternatives: Fastify as its documentation has it, zod for the body, a key. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { fastify } from 'fastify';
import { z } from 'zod';
import { onTerminate } from './settings.ts';

const OBJECT = z.looseObject({ id: z.string().min(1).max(512) });
const BODY = z.object({ data: z.union([OBJECT, z.array(OBJECT).min(1).max(10_000)]) });

export type PlainObject = z.infer<typeof OBJECT>;

/** A server that lets in whoever has the key. Requests aren't logged: that is left to a proxy in front. */
export function createApi(apiKey: string): FastifyInstance {
  const app = fastify({ bodyLimit: 10 * 1024 * 1024, logger: { level: 'warn' } });
  const wanted = hash(`Bearer ${apiKey}`);
  app.get('/readyz', () => ({ status: 'up' }));
  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.url === '/readyz') return;
    const given = hash(request.headers.authorization ?? '');
    if (!timingSafeEqual(given, wanted))
      return reply.code(401).send({ message: 'this API key is not known' });
  });
  return app;
}

/** Serves writes. @param write takes a request's objects; what it returns goes into the answer */
export function serveWrites(
  app: FastifyInstance,
  write: (namespace: string, objects: PlainObject | PlainObject[]) => Promise<string>,
): void {
  app.post<{ Params: { namespace: string } }>('/v1/data/:namespace', async (request, reply) => {
    const parsed = BODY.safeParse(request.body);
    if (!parsed.success) return reply.code(400).send({ message: z.prettifyError(parsed.error) });
    const requestId = await write(request.params.namespace, parsed.data.data);
    return reply.code(202).send({ requestId, status: 'accepted' });
  });
}

/** Listens until the process is told to end. */
export async function run(app: FastifyInstance, port: number): Promise<void> {
  onTerminate(() => app.close());
  await app.listen({ host: '127.0.0.1', port });
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
