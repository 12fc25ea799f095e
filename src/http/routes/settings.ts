/** `PUT` and `GET /v1/data/{namespace}/settings`: what the fields of a namespace's objects are. */
import type { FastifyInstance } from 'fastify';
import { MAX_SCHEMA_LENGTH } from '../../domain/schema.ts';
import { readSettings } from '../../domain/settings.ts';
import { inSlices } from '../../domain/slices.ts';
import { isoFromMicros } from '../../domain/time.ts';
import { ProblemError } from '../../errors.ts';
import type { SettingsAccess } from '../../store/settings.ts';
import type { BodyReader } from '../body.ts';
import type { NamespaceParams } from '../namespace.ts';
import { requireNamespace } from '../namespace.ts';

export interface SettingsRouteDeps extends SettingsAccess {
  readonly bodies: BodyReader;
}

const PATH = '/v1/data/:namespace/settings';

export function settingsRoutes(app: FastifyInstance, deps: SettingsRouteDeps): void {
  const { findSettings, putSettings, bodies } = deps;

  app.put<NamespaceParams>(
    PATH,
    { config: { access: { scope: 'write' } }, onRequest: requireNamespace },
    (request) =>
      bodies.withText(
        request,
        async (text) => {
          const { namespace } = request.params;
          const schema = await inSlices(readSettings(text));
          await putSettings({ namespace, schema, requestId: request.id });
          return { namespace, status: 'updated' };
        },
        MAX_SCHEMA_LENGTH,
      ),
  );

  app.get<NamespaceParams>(
    PATH,
    { config: { access: { scope: 'read' } }, onRequest: requireNamespace },
    async ({ params: { namespace } }, reply) => {
      const settings = await findSettings(namespace);
      if (!settings) {
        throw new ProblemError(
          'not_found',
          'this namespace has no settings: PUT them, or send "schema" along with data',
        );
      }
      reply.type('application/json; charset=utf-8');
      // As text: what was sent must not pass through JavaScript's numbers.
      return `{"namespace":${JSON.stringify(namespace)},"schema":${settings.schema},"updated_at":"${isoFromMicros(settings.updatedAt)}"}`;
    },
  );
}
