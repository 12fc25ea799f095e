/** `POST /v1/data/{namespace}` in the API's document. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { MAX_DEPTH, MAX_DIGITS } from '../../domain/storable.ts';
import { WRITE } from '../../domain/write-schema.ts';
import { SERVED_ENCODINGS } from '../decoders.ts';
import type { Operations } from '../openapi/operation.ts';
import { json } from '../openapi/operation.ts';
import { EXAMPLE, named } from '../openapi/schemas.ts';

/** The answer to a write, and to a delete. */
export const accepted = {
  description: 'All of it is durably in the queue.',
  content: json(
    named(
      'Accepted',
      z.strictObject({ requestId: REQUEST_ID, status: z.literal('accepted') }),
      'What was sent will be stored; `requestId` is what its request is asked for by.',
    ),
    'Accepted',
    { requestId: EXAMPLE.requestId, status: 'accepted' },
  ),
};

export const dataOperations = {
  'POST /v1/data/{namespace}': {
    id: 'writeData',
    tag: 'Data',
    summary: 'Write objects',
    description:
      'Takes one object or many, and answers when they are durably in the queue, before they are stored. The request is ' +
      'taken as a whole or not at all. Sending it again does no harm. An object that is there already is replaced.\n\n' +
      `Beside what the schema says, strings hold no U+0000 and no lone surrogates, numbers take at most ${MAX_DIGITS} digits ` +
      `to write out, and objects nest at most ${MAX_DEPTH} levels deep.`,
    access: 'write',
    body: {
      description:
        'The objects, as UTF-8. How many there may be, and how many bytes, is set for each server.',
      required: true,
      encodings: SERVED_ENCODINGS,
      content: {
        'application/json': {
          schema: WRITE,
          examples: {
            one: { summary: 'One object', value: { data: EXAMPLE.object } },
            many: {
              summary: 'Many objects',
              value: {
                data: [EXAMPLE.object, { id: 'product_12346', name: 'Table', tags: ['wood', 'oak'] }],
              },
            },
            schema: {
              summary: 'Objects, and what their fields are',
              value: { data: [EXAMPLE.object], schema: { price: { content_type: 'metadata' } } },
            },
          },
        },
      },
    },
    answers: { 202: accepted },
    problems: {
      queue_full: null,
      too_large:
        'The body is larger than the limit, once decompressed, or has more objects than one request may.',
      unsupported_media_type: null,
    },
  },
} satisfies Operations;
