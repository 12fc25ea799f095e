/** The OpenAPI document: put together from the descriptions that stand beside the routes. */
import { dataOperations } from '../routes/data.openapi.ts';
import { documentOperations } from '../routes/document.openapi.ts';
import { failedOperations } from '../routes/failed.openapi.ts';
import { healthOperations } from '../routes/health.openapi.ts';
import { importOperations } from '../routes/imports.openapi.ts';
import { metricsOperations } from '../routes/metrics.openapi.ts';
import { objectOperations } from '../routes/objects.openapi.ts';
import { requestOperations } from '../routes/requests.openapi.ts';
import { resultOperations } from '../routes/results.openapi.ts';
import { settingsOperations } from '../routes/settings.openapi.ts';
import { uploadOperations } from '../routes/uploads.openapi.ts';
import { webhookDeliveryOperations } from '../routes/webhook-deliveries.openapi.ts';
import { webhookEndpointOperations } from '../routes/webhook-endpoints.openapi.ts';
import { webhookEvents } from '../routes/webhook-events.openapi.ts';
import { answerHeaders, headerObjects } from './headers.ts';
import type { Answer, Media, Operation, OperationAccess, RequestBody } from './operation.ts';
import { isScope, TAGS } from './operation.ts';
import { parametersOf, pathParameters } from './parameters.ts';
import { problemResponses, problemsOf } from './problems.ts';
import { componentSchemas, schemaOf } from './schemas.ts';

/** All operations, in the order in which they are shown. */
export const OPERATIONS = {
  ...dataOperations,
  ...objectOperations,
  ...requestOperations,
  ...resultOperations,
  ...failedOperations,
  ...importOperations,
  ...uploadOperations,
  ...settingsOperations,
  ...webhookEndpointOperations,
  ...webhookDeliveryOperations,
  ...healthOperations,
  ...metricsOperations,
  ...documentOperations,
};

/** An OpenAPI document, as far as anyone has to look into it. */
export interface OpenApiDocument {
  readonly openapi: string;
  readonly servers: readonly { readonly url: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly [member: string]: unknown;
}

const DESCRIPTION = `Takes JSON objects, answers at once, and upserts them by namespace and id into Postgres.

A write is answered with 202 when its objects are durably in the queue. Each of them is stored then, or kept as failed \
with the reason; what became of a request can be asked for by the id that its answer names. Of two writes of one id the \
one that was accepted later wins.

Errors are \`application/problem+json\` (RFC 9457). Lists come in pages: \`next_cursor\` of one is \`cursor\` of the next.`;

const KEY_SCHEME = 'apiKey';

/**
 * Makes the document.
 * @param publicUrl how clients reach the server
 * @param version Inlet's
 */
export function openApiDocument(publicUrl: string, version: string): OpenApiDocument {
  return {
    openapi: '3.1.1',
    info: {
      title: 'Inlet',
      summary: 'A self-hosted ingestion API.',
      description: DESCRIPTION,
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: publicUrl, description: 'This server.' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    security: [{ [KEY_SCHEME]: [] }],
    paths: paths(),
    webhooks: webhookEvents(),
    components: {
      securitySchemes: {
        [KEY_SCHEME]: { type: 'http', scheme: 'bearer', description: 'An API key.' },
      },
      parameters: pathParameters(),
      responses: problemResponses(Object.values(OPERATIONS)),
      schemas: componentSchemas(),
    },
  };
}

function paths(): OpenApiDocument['paths'] {
  const all: Record<string, Record<string, unknown>> = {};
  for (const [key, operation] of Object.entries<Operation>(OPERATIONS)) {
    const [method = '', path = ''] = key.split(' ');
    all[path] = { ...all[path], [method.toLowerCase()]: operationObject(path, operation) };
  }
  return all;
}

function operationObject(path: string, operation: Operation): unknown {
  const { id, tag, summary, description, access, body, answers } = operation;
  const parameters = parametersOf(path, operation);
  return {
    operationId: id,
    tags: [tag],
    summary,
    description: `${description}${needed(access)}`,
    security: security(access),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: requestBody(body) } : {}),
    responses: {
      ...Object.fromEntries(
        Object.entries(answers).map(([status, answer]) => [status, response(answer, operation)]),
      ),
      ...problemsOf(operation),
    },
  };
}

function needed(access: OperationAccess): string {
  return isScope(access) ? `\n\nNeeds an API key with the scope \`${access}\`.` : '';
}

function security(access: OperationAccess): readonly Record<string, readonly string[]>[] {
  if (access === 'signed' || access === 'open') return [];
  return access === 'metrics' ? [{}, { [KEY_SCHEME]: [] }] : [{ [KEY_SCHEME]: [] }];
}

function requestBody({ description, required, content }: RequestBody): unknown {
  return { description, required, content: contentObject(content) };
}

function response({ description, headers = {}, content }: Answer, operation: Operation): unknown {
  return {
    description,
    headers: { ...answerHeaders(operation), ...headerObjects(headers) },
    ...(content ? { content: contentObject(content) } : {}),
  };
}

function contentObject(content: Readonly<Record<string, Media>>): unknown {
  return Object.fromEntries(
    Object.entries(content).map(([type, { schema, examples }]) => [
      type,
      { schema: schemaOf(schema), examples },
    ]),
  );
}
