/** `/v1/data/{namespace}/requests` in the API's document. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { NAMESPACE, OBJECT_ID } from '../../domain/write-schema.ts';
import { REQUEST_STATUSES } from '../../store/requests.ts';
import type { Operations } from '../openapi/operation.ts';
import { json } from '../openapi/operation.ts';
import { COUNTS, EXAMPLE, named, pageOf, STAMP, TIME } from '../openapi/schemas.ts';
import { pageQuery } from '../paging.ts';
import { resultsQuery, statusQuery } from './requests.ts';

export const requestStatus = named(
  'RequestStatus',
  z.enum(REQUEST_STATUSES),
  'Where a request is: from `queued`, for a file over `uploading`, to `ingesting` (until its objects are stored and, ' +
    'where there is an evaluator, evaluated), and then `succeeded`, or `failed` where at least one of its objects could ' +
    'not be stored.',
  'succeeded',
);

const summary = named(
  'RequestSummary',
  z.strictObject({
    namespace: NAMESPACE,
    request_id: REQUEST_ID,
    status: requestStatus,
    accepted_at: TIME,
    stamp: STAMP.nullable().meta({ description: 'Null until the file of an import has begun to come.' }),
    completed_at: TIME.nullable().meta({ description: 'Null until it has succeeded or failed.' }),
    counts: COUNTS,
  }),
  'A request, as lists have it.',
);

// A line of the results that can be downloaded is one of these, too.
export const result = named(
  'Result',
  z.strictObject({
    id: OBJECT_ID,
    output: z
      .strictObject({
        actions: z.array(z.unknown()),
        labels: z.array(z.unknown()),
        fields: z.record(z.string(), z.unknown()),
      })
      .meta({
        description:
          'What the evaluator has answered about the object as it is now; empty where there is no evaluator.',
      }),
    evaluation_error: z.string().optional().meta({
      description: 'Why the evaluator has failed for it; only where it has. `output` is empty then.',
    }),
    metadata: z.record(z.string(), z.unknown()).meta({
      description: "The object's fields of the content type `metadata`, as they are now.",
    }),
    url: z.url().meta({ description: 'Where the object is read.' }),
  }),
  'An object of a request that did not fail.',
);

export const RESULT_EXAMPLE = {
  id: EXAMPLE.objectId,
  output: { actions: [], labels: [], fields: {} },
  metadata: { price: 49.9 },
  url: `https://inlet.example.com/v1/data/${EXAMPLE.namespace}/objects/${EXAMPLE.objectId}`,
};

const failure = named(
  'ObjectFailure',
  z.strictObject({
    index: z
      .int()
      .min(0)
      .meta({ description: 'Where it stands in the request, from 0; of a file its line, from 1.' }),
    id: z.string().meta({ description: 'Empty where it has none that is valid.' }),
    message: z.string(),
  }),
  'An object of a request that could not be stored.',
  { index: 3, id: 'product_12348', message: 'is not valid JSON' },
);

const request = named(
  'RequestDetails',
  z.strictObject({
    ...summary.shape,
    data: z.array(result).meta({
      description:
        "The request's objects that did not fail, in its order, each once. Empty until it is done.",
    }),
    errors: z.array(failure),
  }),
  'A request, with its results and what could not be stored.',
);

export const NO_SUCH_REQUEST = 'The namespace has no such request, or the API key may not see it.';

const SUMMARY = {
  namespace: EXAMPLE.namespace,
  request_id: EXAMPLE.requestId,
  status: 'succeeded',
  accepted_at: EXAMPLE.acceptedAt,
  stamp: EXAMPLE.stamp,
  completed_at: EXAMPLE.completedAt,
  counts: { objects: 1, stored: 1, failed: 0 },
};

export const requestOperations = {
  'GET /v1/data/{namespace}/requests': {
    id: 'listRequests',
    tag: 'Requests',
    summary: 'List requests',
    description:
      'The requests of the namespace, the newest first, in pages, also those that are still in the queue. A page may be ' +
      'shorter than its limit while a long queue is looked through: what counts is `next_cursor`.',
    access: 'read',
    queries: [statusQuery, pageQuery],
    answers: {
      200: {
        description: 'A page of requests.',
        content: json(
          named('RequestList', pageOf(summary), 'A page of requests, the newest first.'),
          'A page',
          {
            data: [SUMMARY],
            next_cursor: 'cmVxXzAxaDJtN3FkbWRqY2tjMzBlMW1ucTZ4cWZk',
          },
        ),
      },
    },
    problems: { not_found: 'The API key may not see this namespace.' },
  },

  'GET /v1/data/{namespace}/requests/{requestId}': {
    id: 'getRequest',
    tag: 'Requests',
    summary: 'Get a request',
    description: 'What has become of a request, from the moment at which it was accepted.',
    access: 'read',
    queries: [resultsQuery],
    answers: {
      200: {
        description: 'The request.',
        content: json(request, 'A request that is done', { ...SUMMARY, data: [RESULT_EXAMPLE], errors: [] }),
      },
    },
    problems: {
      not_found: NO_SUCH_REQUEST,
      too_large: 'The results are larger than 5 MiB: leave them out (`results=false`), or download them.',
    },
  },
} satisfies Operations;
