/** `GET /openapi.json`: what the API can do. */
import { hash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { OpenApiDocument } from '../openapi/document.ts';

export interface DocumentRouteDeps {
  /** The OpenAPI document, always the same one. */
  readonly openApiDocument: () => OpenApiDocument;
}

export function documentRoute(app: FastifyInstance, { openApiDocument }: DocumentRouteDeps): void {
  let text: string | undefined;
  let etag = '';
  app.get('/openapi.json', async ({ headers }, reply) => {
    if (text === undefined) {
      text = JSON.stringify(openApiDocument());
      etag = `"${hash('sha256', text, 'base64url')}"`;
    }
    // It may change with every start, and is one small request away where it has not.
    reply.header('etag', etag).header('cache-control', 'no-cache');
    if (isKnown(etag, headers['if-none-match'])) return reply.code(304).send();
    reply.type('application/json; charset=utf-8');
    return text;
  });
}

/** Whether the client has what an ETag stands for (RFC 9110, 13.1.2). */
function isKnown(etag: string, ifNoneMatch: string | undefined): boolean {
  const known = (ifNoneMatch ?? '').split(',').map((entry) => entry.trim().replace(/^W\//, ''));
  return known.includes(etag) || known.includes('*');
}
