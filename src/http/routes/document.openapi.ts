/** `/openapi.json` in the API's document. */
import { z } from 'zod';
import type { Operations } from '../openapi/operation.ts';
import { json } from '../openapi/operation.ts';

export const documentOperations = {
  'GET /openapi.json': {
    id: 'getDocument',
    tag: 'Service',
    summary: 'This document',
    description: 'What the server can do, as OpenAPI 3.1. `/docs` shows it in a browser.',
    access: 'open',
    answers: {
      200: {
        description: 'The document.',
        headers: {
          ETag: {
            description: 'Changes with the document.',
            required: true,
            schema: z.string(),
            example: '"Xq3v"',
          },
        },
        content: json(z.looseObject({ openapi: z.string() }), 'The document, shortened', {
          openapi: '3.1.1',
          info: { title: 'Inlet', version: '0.1.0' },
          paths: {},
        }),
      },
      304: { description: 'It is the one that `If-None-Match` names.' },
    },
  },
} satisfies Operations;
