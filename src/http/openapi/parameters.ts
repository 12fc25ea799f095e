/** The parameters of operations: those of paths by their name, those of queries from the schemas that read them. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { ENDPOINT_ID } from '../../domain/webhook-ids.ts';
import { NAMESPACE, OBJECT_ID } from '../../domain/write-schema.ts';
import type { Operation } from './operation.ts';
import type { JsonSchema } from './schemas.ts';
import { EXAMPLE, schemaOf } from './schemas.ts';

interface PathParameter {
  readonly description: string;
  readonly schema: z.ZodType;
  readonly example: string | number;
}

/** Every `{name}` of a path. */
const IN_PATH: Readonly<Record<string, PathParameter>> = {
  namespace: {
    description: 'The namespace.',
    schema: NAMESPACE,
    example: EXAMPLE.namespace,
  },
  requestId: {
    description: 'The request, as the answer to it has named it.',
    schema: REQUEST_ID,
    example: EXAMPLE.requestId,
  },
  id: {
    description: 'The object. No path can carry `.` and `..`: `?id=` of the list reads those.',
    schema: OBJECT_ID,
    example: EXAMPLE.objectId,
  },
  endpointId: {
    description: 'The endpoint, as the answer that made it has named it.',
    schema: ENDPOINT_ID,
    example: EXAMPLE.endpointId,
  },
  index: {
    description: 'The place of the object in its request, as `errors` and lists name it.',
    schema: z.int().min(0),
    example: 3,
  },
};

/** Those of paths, as components. */
export function pathParameters(): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(IN_PATH).map(([name, { description, schema, example }]) => [
      name,
      { name, in: 'path', required: true, description, schema: schemaOf(schema), example },
    ]),
  );
}

/**
 * All parameters of an operation.
 * @throws Error where the path has one that isn't known, or a query parameter has no description
 */
export function parametersOf(path: string, { queries = [], body }: Operation): readonly unknown[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => {
    if (!IN_PATH[name]) throw new Error(`the path parameter ${name} is not described`);
    return { $ref: `#/components/parameters/${name}` };
  });
  return [...inPath, ...queries.flatMap(inQuery), ...(body ? [contentEncoding(body.encodings)] : [])];
}

function inQuery(query: z.ZodObject): readonly unknown[] {
  const { properties, required } = schemaOf(query) as {
    properties: Readonly<Record<string, JsonSchema>>;
    required?: readonly string[];
  };
  return Object.entries(properties).map(([name, { description, examples, ...schema }]) => {
    if (description === undefined) throw new Error(`the query parameter ${name} is not described`);
    const [example] = (examples as readonly unknown[] | undefined) ?? [];
    return {
      name,
      in: 'query',
      required: required?.includes(name) ?? false,
      description,
      schema,
      ...(example === undefined ? {} : { example }),
    };
  });
}

/** Without an example: pages on which calls can be tried out would send it with a body that is not compressed. */
function contentEncoding(encodings: readonly string[]): unknown {
  return {
    name: 'Content-Encoding',
    in: 'header',
    required: false,
    description: 'How the body is compressed, where it is.',
    schema: schemaOf(z.enum(encodings)),
  };
}
