/** `…/requests/{requestId}/results` in the API's document. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { SIGNED_QUERY } from '../../domain/signature.ts';
import { NAMESPACE } from '../../domain/write-schema.ts';
import type { Operations } from '../openapi/operation.ts';
import { EXAMPLE, named, TIME } from '../openapi/schemas.ts';
import { NO_SUCH_REQUEST, RESULT_EXAMPLE, requestStatus } from './requests.openapi.ts';

const HEAD = { namespace: EXAMPLE.namespace, request_id: EXAMPLE.requestId };

const downloadUrl = named(
  'DownloadUrl',
  z.strictObject({
    namespace: NAMESPACE,
    request_id: REQUEST_ID,
    status: requestStatus,
    data_url: z.url().nullable().meta({ description: 'Where the results are downloaded, without a key.' }),
    data_count: z.int().min(0).nullable().meta({ description: 'How many results there are.' }),
    data_expires_at: TIME.nullable().meta({ description: 'Until when a download can be begun.' }),
  }),
  'Where the results of a request are downloaded. The three members that begin with `data_` are null until it is done.',
);

export const resultOperations = {
  'GET /v1/data/{namespace}/requests/{requestId}/results/download-url': {
    id: 'getDownloadUrl',
    tag: 'Requests',
    summary: 'Get the URL of the results',
    description:
      'A URL at which all results of the request can be downloaded for an hour, however many they are.',
    access: 'read',
    answers: {
      200: {
        description: 'The URL, where the request is done.',
        content: {
          'application/json': {
            schema: downloadUrl,
            examples: {
              done: {
                summary: 'A request that is done',
                value: {
                  ...HEAD,
                  status: 'succeeded',
                  data_url: `https://inlet.example.com/v1/data/${HEAD.namespace}/requests/${HEAD.request_id}/results/download?expires=1795374000&signature=p3nTnVyTrVgGfeFRCcV5cpyvyt0QfrLrBkNGw6ZWvVs`,
                  data_count: 1,
                  data_expires_at: EXAMPLE.acceptedAt,
                },
              },
              waiting: {
                summary: 'A request that is not done',
                value: {
                  ...HEAD,
                  status: 'ingesting',
                  data_url: null,
                  data_count: null,
                  data_expires_at: null,
                },
              },
            },
          },
        },
      },
    },
    problems: { not_found: NO_SUCH_REQUEST },
  },

  'GET /v1/data/{namespace}/requests/{requestId}/results/download': {
    id: 'downloadResults',
    tag: 'Requests',
    summary: 'Download the results',
    description:
      'All results of the request as JSON lines, each of which is a `Result`. The URL is the one that `getDownloadUrl` gives, ' +
      'and is the right to it: there is no key. A download that breaks off ends without the last chunk.',
    access: 'signed',
    queries: [SIGNED_QUERY],
    answers: {
      200: {
        description: 'The results, a line of JSON each.',
        headers: {
          'Content-Disposition': {
            description: 'A name for the file.',
            required: true,
            schema: z.string(),
            example: `attachment; filename="${EXAMPLE.requestId}.jsonl"`,
          },
        },
        content: {
          'application/x-ndjson': {
            schema: z.string(),
            examples: { example: { summary: 'One result', value: `${JSON.stringify(RESULT_EXAMPLE)}\n` } },
          },
        },
      },
    },
    problems: {
      forbidden: 'The URL has expired, or was altered.',
      not_found: 'The request is not there any more.',
    },
  },
} satisfies Operations;
