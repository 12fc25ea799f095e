/** Zod's schemas as JSON Schema: those with a name as components, which others refer to. And those that many routes share. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { NAMESPACE, OBJECT, OBJECT_ID, WRITE } from '../../domain/write-schema.ts';

export type JsonSchema = Readonly<Record<string, unknown>>;

interface Naming {
  readonly id: string;
  readonly description: string;
  readonly examples: readonly unknown[];
}

const names = z.registry<Naming>();

/** Gives a schema a name: it becomes a component of the document, which all schemas that use it refer to. */
export function named<T extends z.ZodType>(
  id: string,
  schema: T,
  description: string,
  ...examples: readonly unknown[]
): T {
  names.add(schema, { id, description, examples });
  return schema;
}

const CONVERSION = {
  // What may be sent; of answers, which have neither defaults nor transforms, it is what comes too.
  io: 'input',
  override({
    zodSchema,
    jsonSchema,
  }: {
    zodSchema: z.core.$ZodType;
    jsonSchema: z.core.JSONSchema.BaseSchema;
  }) {
    const naming = names.get(zodSchema as z.ZodType);
    if (naming?.id === undefined) return;
    jsonSchema.description = naming.description;
    if (naming.examples.length > 0) jsonSchema.examples = [...naming.examples];
  },
} as const;

/** All schemas that have a name, by it. */
export function componentSchemas(): Readonly<Record<string, JsonSchema>> {
  const { schemas } = z.toJSONSchema(names, { ...CONVERSION, uri: referenceTo });
  const sorted = Object.entries(schemas).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, schema]) => [name, bare(schema)]));
}

/**
 * A schema where it is used: a reference where it has a name.
 * @throws Error where it is more than a plain value and has none
 */
export function schemaOf(schema: z.ZodType): JsonSchema {
  const naming = names.get(schema);
  if (naming?.id !== undefined) return { $ref: referenceTo(naming.id) };
  return bare(z.toJSONSchema(schema, CONVERSION));
}

function referenceTo(name: string): string {
  return `#/components/schemas/${name}`;
}

/** Without what says which JSON Schema this is: the document says so for all. */
function bare({ $schema: _schema, $id: _id, ...rest }: z.core.JSONSchema.BaseSchema): JsonSchema {
  return rest;
}

/** Values for examples, the same throughout. */
export const EXAMPLE = {
  namespace: 'products',
  objectId: 'product_12345',
  requestId: 'req_01h2m7qdmdjckc30e1mnq6xqfd',
  endpointId: 'ep_4eC39HqLyjWDarjt',
  webhookId: 'msg_01h2m7qdmdjckc30e1mnq6xqfd_0',
  acceptedAt: '2026-11-22T19:00:00.123456Z',
  stamp: '1795374000123456',
  completedAt: '2026-11-22T19:00:00.141592Z',
  object: { id: 'product_12345', name: 'Chair', price: 49.9 },
} as const;

named('RequestId', REQUEST_ID, '`req_` and a ULID in lower case. Ids sort by time.', EXAMPLE.requestId);
named(
  'Namespace',
  NAMESPACE,
  'What objects are kept apart by. Upper and lower case differ.',
  EXAMPLE.namespace,
);
named('ObjectId', OBJECT_ID, 'What an object is called in its namespace.', EXAMPLE.objectId);
named(
  'DataObject',
  OBJECT,
  'An object: `id`, and whatever else its sender likes, of any name and any JSON value. Numbers are kept to the digit, ' +
    'so they may be more than a double can hold.',
  EXAMPLE.object,
);
named('Write', WRITE, 'One object or many, and the schema that may come along. Other members are ignored.');

/** A time. */
export const TIME = z.string().meta({ format: 'date-time', examples: [EXAMPLE.acceptedAt] });

/** What orders writes. */
export const STAMP = z
  .string()
  .regex(/^\d{1,19}$/)
  .meta({
    description:
      'Orders writes: of two writes the later one has the greater `stamp`, or of equal ones the greater `request_id`. A whole number that never falls, whatever clocks do; as text, because not every JSON parser keeps it whole.',
    examples: [EXAMPLE.stamp],
  });

/** How many objects a request has, and what became of them. */
export const COUNTS = named(
  'Counts',
  z.strictObject({
    objects: z
      .int()
      .min(0)
      .meta({ description: 'How many objects there are; of a file that is still coming, so far.' }),
    stored: z.int().min(0).meta({ description: 'Those that are stored, or overtaken by a later write.' }),
    failed: z.int().min(0).meta({ description: 'Those that could not be stored.' }),
  }),
  'How many objects a request has, and what has become of them so far.',
  { objects: 2, stored: 2, failed: 0 },
);

/** A page of a list. */
export function pageOf<T extends z.ZodType>(item: T) {
  return z.strictObject({
    data: z.array(item),
    next_cursor: z.string().nullable().meta({
      description: 'Where the next page begins, as `cursor`; null on the last one.',
    }),
  });
}
