/** `/v1/data/{namespace}/settings` in the API's document. */
import { z } from 'zod';
import { FIELD, FIELDS } from '../../domain/schema.ts';
import { SETTINGS_BODY } from '../../domain/settings.ts';
import { NAMESPACE } from '../../domain/write-schema.ts';
import { SERVED_ENCODINGS } from '../decoders.ts';
import type { Operations } from '../openapi/operation.ts';
import { json } from '../openapi/operation.ts';
import { EXAMPLE, named, TIME } from '../openapi/schemas.ts';

const SCHEMA = {
  name: { display_hint: { type: 'title', name: 'Name', order: 1 } },
  price: { content_type: 'metadata', field_limit: 1 },
};

named('Field', FIELD, 'What a field is, and how it is shown.', SCHEMA.name, SCHEMA.price);
named('NamespaceSchema', FIELDS, 'What each field of the objects of a namespace is, by its name.', SCHEMA);
named(
  'SettingsBody',
  SETTINGS_BODY,
  'The settings that a namespace is to have. Without a schema, it has an empty one.',
);

export const settingsOperations = {
  'PUT /v1/data/{namespace}/settings': {
    id: 'putSettings',
    tag: 'Settings',
    summary: 'Set what the fields are',
    description: 'Replaces the settings of the namespace as a whole.',
    access: 'write',
    body: {
      description: 'The settings.',
      required: true,
      encodings: SERVED_ENCODINGS,
      content: {
        'application/json': {
          schema: SETTINGS_BODY,
          examples: { example: { summary: 'Two fields', value: { schema: SCHEMA } } },
        },
      },
    },
    answers: {
      200: {
        description: 'The settings hold from now on.',
        content: json(
          named(
            'SettingsUpdated',
            z.strictObject({ namespace: NAMESPACE, status: z.literal('updated') }),
            'The settings were replaced.',
          ),
          'Updated',
          { namespace: EXAMPLE.namespace, status: 'updated' },
        ),
      },
    },
    problems: {
      too_large: null,
      unsupported_media_type: null,
    },
  },

  'GET /v1/data/{namespace}/settings': {
    id: 'getSettings',
    tag: 'Settings',
    summary: 'Get what the fields are',
    description: 'The settings of the namespace, as they were sent.',
    access: 'read',
    answers: {
      200: {
        description: 'The settings.',
        content: json(
          named(
            'Settings',
            z.strictObject({ namespace: NAMESPACE, schema: FIELDS, updated_at: TIME }),
            'The settings of a namespace.',
          ),
          'Two fields',
          { namespace: EXAMPLE.namespace, schema: SCHEMA, updated_at: EXAMPLE.acceptedAt },
        ),
      },
    },
    problems: { not_found: 'The namespace has no settings.' },
  },
} satisfies Operations;
