/** `/docs`: the API's document in a browser. Everything that the pages need comes from this server. */
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import type { DocumentRouteDeps } from './document.ts';

const PATH = '/docs';

/** What the pages may do: run and show what this server gives them, and call it. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  // Swagger UI's style sheet has its icons as data.
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const UI_CONFIG: swaggerUi.FastifySwaggerUiConfigOptions = {
  // Without the bar in which another document could be opened.
  layout: 'BaseLayout',
  displayOperationId: true,
  displayRequestDuration: true,
  // A key would otherwise stay in the browser's storage when the page is closed.
  persistAuthorization: false,
  validatorUrl: null,
};

export function docsRoutes(app: FastifyInstance, { openApiDocument }: DocumentRouteDeps): void {
  app.register(async (docs) => {
    docs.addHook('onRequest', async ({ url }, reply) => {
      // The pages name their parts from here, also where a proxy serves them under another path.
      if (url.split('?')[0] === PATH) return reply.redirect(`${PATH.slice(1)}/`, 308);
      return undefined;
    });
    docs.decorate('swagger', (options?: { yaml?: boolean }) => {
      // Calls go to the server that the page came from, however it is reached.
      const document = {
        ...openApiDocument(),
        servers: [{ url: '..', description: 'The server of this page.' }],
      };
      // JSON is YAML too.
      return options?.yaml ? JSON.stringify(document, null, 2) : document;
    });
    // Called, not registered: it would insist on @fastify/swagger, which makes documents of its own.
    await swaggerUi(
      docs,
      {
        routePrefix: PATH,
        staticCSP: CONTENT_SECURITY_POLICY,
        uiConfig: UI_CONFIG,
        theme: { title: 'Inlet' },
      },
      () => undefined,
    );
  });
}
