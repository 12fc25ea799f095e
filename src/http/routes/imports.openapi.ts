/** The making of imports in the API's document. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { UPLOAD_OPTIONS } from '../../domain/settings.ts';
import { SERVED_ENCODINGS } from '../decoders.ts';
import type { Operation, Operations } from '../openapi/operation.ts';
import { json } from '../openapi/operation.ts';
import { EXAMPLE, named, TIME } from '../openapi/schemas.ts';

named(
  'UploadOptions',
  UPLOAD_OPTIONS,
  'The schema that may come along with a file. Other members are ignored.',
);

const createUpload = {
  tag: 'Imports',
  description:
    'Makes a request whose objects come as a file, and a URL to which that file can be sent for 12 hours, without a key: ' +
    '`PUT` it there, one object a line.',
  access: 'write',
  body: {
    description: 'May be left out.',
    required: false,
    encodings: SERVED_ENCODINGS,
    content: {
      'application/json': {
        schema: UPLOAD_OPTIONS,
        examples: {
          none: { summary: 'A file alone', value: {} },
          schema: {
            summary: 'A file, and what its fields are',
            value: { schema: { price: { content_type: 'metadata' } } },
          },
        },
      },
    },
  },
  answers: {
    200: {
      description: 'Where the file is sent to.',
      content: json(
        named(
          'UploadUrl',
          z.strictObject({
            requestId: REQUEST_ID,
            status: z.literal('pending_upload'),
            objectKey: z.string().meta({ description: 'A name for the file.' }),
            upload_url: z.url(),
            expires_at: TIME,
          }),
          'Where a file is sent to.',
        ),
        'A new import',
        {
          requestId: EXAMPLE.requestId,
          status: 'pending_upload',
          objectKey: `${EXAMPLE.namespace}/${EXAMPLE.requestId}.jsonl`,
          upload_url: `https://inlet.example.com/v1/data/${EXAMPLE.namespace}/requests/${EXAMPLE.requestId}/upload?expires=1795374000&signature=p3nTnVyTrVgGfeFRCcV5cpyvyt0QfrLrBkNGw6ZWvVs`,
          expires_at: EXAMPLE.acceptedAt,
        },
      ),
    },
  },
  problems: {
    not_found: 'The API key may not see this namespace.',
    too_large: null,
    unsupported_media_type: null,
  },
} satisfies Omit<Operation, 'id' | 'summary'>;

export const importOperations = {
  'POST /v1/data/{namespace}/requests/upload-url': {
    id: 'createUploadUrl',
    summary: 'Get a URL for a file',
    ...createUpload,
  },
  'POST /v1/data/{namespace}/import': {
    id: 'createImport',
    summary: 'Get a URL for a file (older name)',
    ...createUpload,
  },
} satisfies Operations;
