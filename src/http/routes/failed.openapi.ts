/** `/v1/data/{namespace}/failed` in the API's document. */
import { z } from 'zod';
import { REPLAY_ORDERS } from '../../domain/batch.ts';
import { DISCARD_SOME, REPLAY_ONE, REPLAY_SOME } from '../../domain/failed-bodies.ts';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { NAMESPACE } from '../../domain/write-schema.ts';
import { SERVED_ENCODINGS } from '../decoders.ts';
import type { Operations, RequestBody } from '../openapi/operation.ts';
import { json } from '../openapi/operation.ts';
import { EXAMPLE, named, pageOf, TIME } from '../openapi/schemas.ts';
import { pageQuery } from '../paging.ts';
import { failedQuery } from './failed.ts';

const INDEX = z.int().min(0).max(2_147_483_647).meta({
  description: 'Where it stands in the request, from 0; of a file its line, from 1.',
});

const failedObject = named(
  'FailedObject',
  z.strictObject({
    namespace: NAMESPACE,
    request_id: REQUEST_ID,
    index: INDEX,
    id: z.string().meta({ description: 'Empty where it has none that is valid.' }),
    operation: z.enum(['write', 'delete']),
    message: z.string().meta({ description: 'Why it could not be stored, the last time that it was tried.' }),
    sqlstate: z.string().nullable().meta({
      description: 'The code with which Postgres refused it; null for a line of a file that holds no object.',
    }),
    replayable: z.boolean().meta({ description: 'False for a line of a file that holds no object.' }),
    attempts: z.int().min(1).meta({ description: 'How often it was tried.' }),
    bytes: z.int().min(0).meta({ description: 'Size of its text.' }),
    accepted_at: TIME,
    failed_at: TIME.meta({ ...TIME.meta(), description: 'When it was last tried.' }),
  }),
  'An accepted object that could not be stored.',
);

const details = named(
  'FailedObjectDetails',
  z.strictObject({
    ...failedObject.shape,
    text: z.string().nullable().meta({
      description:
        'Its JSON text as it was sent; null for a delete. Of a line that holds no object, the first 4,096 characters.',
    }),
  }),
  'An accepted object that could not be stored, with its text.',
);

const FAILED = {
  namespace: EXAMPLE.namespace,
  request_id: EXAMPLE.requestId,
  index: 3,
  id: EXAMPLE.objectId,
  operation: 'write',
  message: 'new row for relation "objects" violates check constraint "price_is_known"',
  sqlstate: '23514',
  replayable: true,
  attempts: 1,
  bytes: 48,
  accepted_at: EXAMPLE.acceptedAt,
  failed_at: EXAMPLE.completedAt,
};

const replayed = {
  description: 'The replay is durably in the queue.',
  content: json(
    named(
      'Replay',
      z.strictObject({
        status: z.literal('accepted'),
        objects: z.int().min(0).meta({ description: 'How many objects are tried again.' }),
        not_replayable: z.int().min(0).meta({
          description: 'How many failed ones there are beside them that hold no object: lines of files.',
        }),
        order: z.enum(REPLAY_ORDERS),
        requested_at: TIME.meta({
          ...TIME.meta(),
          description:
            'What is left of them has failed before this (`failed_before`); what fails again does so later.',
        }),
      }),
      'What is tried again.',
    ),
    'A replay',
    {
      status: 'accepted',
      objects: 1,
      not_replayable: 0,
      order: 'original',
      requested_at: EXAMPLE.acceptedAt,
    },
  ),
};

const discarded = {
  description: 'They are discarded.',
  content: json(
    named(
      'Discard',
      z.strictObject({
        discarded: z.int().min(0).meta({ description: 'How many were discarded by this call.' }),
        has_more: z.boolean().meta({
          description: 'Whether there may be more, because one call discards 10,000: call again.',
        }),
      }),
      'What was discarded.',
    ),
    'One object',
    { discarded: 1, has_more: false },
  ),
};

function body(schema: z.ZodType, examples: Record<string, { summary: string; value: unknown }>): RequestBody {
  return {
    description: 'May be left out where nothing is to be said.',
    required: false,
    encodings: SERVED_ENCODINGS,
    content: { 'application/json': { schema, examples } },
  };
}

const REPLAY =
  'Replays keep the place in the order of writes that the object has always had, so that whatever was accepted after it ' +
  'still wins; `order: now` gives it a new one. An object that is stored, or overtaken, is taken off its request’s failed ' +
  'ones, and the request succeeds with the last of them. One that is refused again stays, with the new reason. ' +
  'Asking twice does no harm.';

const DISCARD =
  'Discarded objects are listed no more, and their text is gone. Their request stays failed, and names them among its errors.';

const NO_SUCH = 'Nothing has failed there, it was stored since or discarded, or the API key may not see it.';
const UNSEEN = 'The API key may not see this namespace.';
const BODY_PROBLEMS = { too_large: null, unsupported_media_type: null } as const;

export const failedOperations = {
  'GET /v1/data/{namespace}/failed': {
    id: 'listFailed',
    tag: 'Failed objects',
    summary: 'List failed objects',
    description:
      'Accepted objects that could not be stored and were not discarded: those of the newest request first, and in their ' +
      'order there. They are kept for as long as it takes.',
    access: 'read',
    queries: [failedQuery, pageQuery],
    answers: {
      200: {
        description: 'A page of failed objects.',
        content: json(
          named('FailedObjectList', pageOf(failedObject), 'A page of failed objects, the newest first.'),
          'The only page',
          { data: [FAILED], next_cursor: null },
        ),
      },
    },
    problems: { not_found: UNSEEN },
  },

  'GET /v1/data/{namespace}/failed/{requestId}/{index}': {
    id: 'getFailed',
    tag: 'Failed objects',
    summary: 'Get a failed object',
    description: 'A failed object, with its text as it was sent.',
    access: 'read',
    answers: {
      200: {
        description: 'The failed object.',
        content: json(details, 'A failed object', {
          ...FAILED,
          text: '{"id": "product_12345", "name": "Chair", "price": null}',
        }),
      },
    },
    problems: { not_found: NO_SUCH },
  },

  'POST /v1/data/{namespace}/failed/{requestId}/{index}/replay': {
    id: 'replayFailedObject',
    tag: 'Failed objects',
    summary: 'Replay a failed object',
    description: `Tries once more to store it. ${REPLAY}`,
    access: 'write',
    body: body(REPLAY_ONE, {
      original: { summary: 'In its original order', value: {} },
      now: { summary: 'As if it had been sent now', value: { order: 'now' } },
    }),
    answers: { 202: replayed },
    problems: {
      ...BODY_PROBLEMS,
      not_found: NO_SUCH,
      queue_full: null,
      conflict: 'It is a line of a file that holds no object, so there is nothing to be stored.',
    },
  },

  'DELETE /v1/data/{namespace}/failed/{requestId}/{index}': {
    id: 'discardFailedObject',
    tag: 'Failed objects',
    summary: 'Discard a failed object',
    description: `${DISCARD} Discarding what was discarded does no harm.`,
    access: 'write',
    answers: { 200: discarded },
    problems: {
      not_found: NO_SUCH,
      unsupported_media_type: 'A body came along in a `Content-Type` that is not served.',
    },
  },

  'POST /v1/data/{namespace}/failed/replay': {
    id: 'replayFailed',
    tag: 'Failed objects',
    summary: 'Replay failed objects',
    description: `Tries once more to store all failed objects of the namespace, or of one request. ${REPLAY}`,
    access: 'write',
    body: body(REPLAY_SOME, {
      all: { summary: 'All of the namespace', value: {} },
      request: { summary: 'Those of one request', value: { request: EXAMPLE.requestId } },
    }),
    answers: { 202: replayed },
    problems: { ...BODY_PROBLEMS, not_found: UNSEEN, queue_full: null },
  },

  'POST /v1/data/{namespace}/failed/discard': {
    id: 'discardFailed',
    tag: 'Failed objects',
    summary: 'Discard failed objects',
    description: `Discards the failed objects of one request, or all of the namespace. ${DISCARD}`,
    access: 'write',
    body: {
      ...body(DISCARD_SOME, {
        request: { summary: 'Those of one request', value: { request: EXAMPLE.requestId } },
        all: { summary: 'All of the namespace', value: { all: true } },
      }),
      description: 'Which are meant: one of both.',
      required: true,
    },
    answers: { 200: discarded },
    problems: { ...BODY_PROBLEMS, not_found: UNSEEN },
  },
} satisfies Operations;
