/** The upload of a file in the API's document. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { SIGNED_QUERY } from '../../domain/signature.ts';
import { SERVED_ENCODINGS } from '../decoders.ts';
import type { Media, Operations } from '../openapi/operation.ts';
import { json } from '../openapi/operation.ts';
import { COUNTS, EXAMPLE, named } from '../openapi/schemas.ts';

const LINES = `${JSON.stringify(EXAMPLE.object)}\n${JSON.stringify({ id: 'product_12346', name: 'Table' })}\n`;

const file: Media = {
  schema: z.string(),
  examples: { example: { summary: 'Two objects', value: LINES } },
};

export const uploadOperations = {
  'PUT /v1/data/{namespace}/requests/{requestId}/upload': {
    id: 'uploadFile',
    tag: 'Imports',
    summary: 'Send the file of an import',
    description:
      'Takes a file of any size with an object on each line, and answers when all of it is durably in the queue. The URL is ' +
      'the one that `createUploadUrl` gives, and is the right to it: there is no key. A bad line stops nothing else, and is ' +
      'named in the `errors` of the request. An upload that breaks off is sent again as a whole, to the same URL.',
    access: 'signed',
    queries: [SIGNED_QUERY],
    body: {
      description: 'The file: a JSON object with an `id` on each line, as UTF-8.',
      required: true,
      encodings: SERVED_ENCODINGS,
      content: { 'application/x-ndjson': file, 'application/json': file },
    },
    answers: {
      200: {
        description: 'All of the file is durably in the queue.',
        content: json(
          named(
            'Uploaded',
            z.strictObject({ requestId: REQUEST_ID, status: z.literal('ingesting'), counts: COUNTS }),
            'The file was taken. Its objects are being stored.',
          ),
          'A file of two lines',
          { requestId: EXAMPLE.requestId, status: 'ingesting', counts: { objects: 2, stored: 0, failed: 0 } },
        ),
      },
    },
    problems: {
      queue_full: null,
      forbidden: 'The URL has expired, or was altered.',
      not_found: 'There is no such request any more: ask for a new URL.',
      request_timeout: 'Nothing has come for a minute.',
      conflict:
        'The file of this request is complete (`x-should-retry: false`), or another upload of it is running.',
      unsupported_media_type:
        'The file is not `application/x-ndjson` or `application/json` in UTF-8, or comes in a `Content-Encoding` that is not served.',
      unavailable:
        'The queue or the database has been away for too long, or the server stops: send the file again.',
    },
  },
} satisfies Operations;
