/** `/v1/data/{namespace}/objects` in the API's document. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { NAMESPACE, OBJECT, OBJECT_ID } from '../../domain/write-schema.ts';
import type { Operations } from '../openapi/operation.ts';
import { json } from '../openapi/operation.ts';
import { EXAMPLE, named, pageOf, STAMP, TIME } from '../openapi/schemas.ts';
import { pageQuery } from '../paging.ts';
import { accepted } from './data.openapi.ts';
import { idsQuery } from './objects.ts';

const REVISION_NUMBER = z.int().min(1).meta({ description: 'Counts the changes of the object, from 1.' });

const ACCEPTED_AT = TIME.meta({
  ...TIME.meta(),
  description: 'When the write was accepted that made it what it is.',
});

const storedObject = named(
  'StoredObject',
  z.strictObject({
    namespace: NAMESPACE,
    id: OBJECT_ID,
    data: OBJECT,
    revision: REVISION_NUMBER,
    request_id: REQUEST_ID,
    accepted_at: ACCEPTED_AT,
    stamp: STAMP,
    created_at: TIME,
    updated_at: TIME,
  }),
  'An object as it is stored. `data` is what was sent, to the digit.',
);

const revision = named(
  'Revision',
  z.strictObject({
    revision: REVISION_NUMBER,
    data: OBJECT.nullable().meta({ description: 'Null where it was deleted.' }),
    deleted: z.boolean(),
    request_id: REQUEST_ID,
    accepted_at: ACCEPTED_AT,
    stamp: STAMP,
    updated_at: TIME,
  }),
  'A version of an object.',
);

const TIMES = {
  accepted_at: EXAMPLE.acceptedAt,
  stamp: EXAMPLE.stamp,
  created_at: EXAMPLE.acceptedAt,
  updated_at: EXAMPLE.acceptedAt,
};

const STORED = {
  namespace: EXAMPLE.namespace,
  id: EXAMPLE.objectId,
  data: EXAMPLE.object,
  revision: 1,
  request_id: EXAMPLE.requestId,
  ...TIMES,
};

export const objectOperations = {
  'GET /v1/data/{namespace}/objects': {
    id: 'listObjects',
    tag: 'Objects',
    summary: 'List objects',
    description:
      'All objects of the namespace by id, in pages, or those that `id` names, as far as they are there. A page ends early ' +
      'before it comes to more than 5 MiB.',
    access: 'read',
    queries: [idsQuery, pageQuery],
    answers: {
      200: {
        description: 'A page of objects.',
        content: json(
          named('ObjectList', pageOf(storedObject), 'A page of objects, by id.'),
          'The only page',
          {
            data: [STORED],
            next_cursor: null,
          },
        ),
      },
    },
    problems: { too_large: 'The objects that `id` names are larger than 5 MiB together.' },
  },

  'GET /v1/data/{namespace}/objects/{id}': {
    id: 'getObject',
    tag: 'Objects',
    summary: 'Get an object',
    description: 'The object as it is stored now.',
    access: 'read',
    answers: { 200: { description: 'The object.', content: json(storedObject, 'An object', STORED) } },
    problems: { not_found: 'The namespace has no object with this id, or none any more.' },
  },

  'DELETE /v1/data/{namespace}/objects/{id}': {
    id: 'deleteObject',
    tag: 'Objects',
    summary: 'Delete an object',
    description:
      'Goes through the queue, in order with the writes: of a write and a delete the one that was accepted later wins. ' +
      'Deleting what is not there does no harm.',
    access: 'write',
    answers: { 202: accepted },
    problems: {
      unsupported_media_type: 'A body came along in a `Content-Type` that is not served.',
    },
  },

  'GET /v1/data/{namespace}/objects/{id}/revisions': {
    id: 'listRevisions',
    tag: 'Objects',
    summary: "List an object's versions",
    description:
      'The versions of an object that are kept, the newest first, in pages; also of one that was deleted. A page ends early ' +
      'before it comes to more than 5 MiB.',
    access: 'read',
    queries: [pageQuery],
    answers: {
      200: {
        description: 'A page of versions.',
        content: json(
          named('RevisionList', pageOf(revision), 'A page of versions, the newest first.'),
          'An object that was deleted',
          {
            data: [
              { revision: 2, data: null, deleted: true, request_id: EXAMPLE.requestId, ...without(TIMES) },
              {
                revision: 1,
                data: EXAMPLE.object,
                deleted: false,
                request_id: EXAMPLE.requestId,
                ...without(TIMES),
              },
            ],
            next_cursor: null,
          },
        ),
      },
    },
    problems: { not_found: 'The namespace has never had an object with this id.' },
  },
} satisfies Operations;

function without({ accepted_at, stamp, updated_at }: typeof TIMES) {
  return { accepted_at, stamp, updated_at };
}
