/** What the document says of each error: when it comes, and a `detail` as an example. */
import type { ProblemCode } from '../../errors.ts';

interface Description {
  /** Its name among the components. */
  readonly name: string;
  readonly when: string;
  /** A `detail`, as an example. */
  readonly detail: string;
}

/** By code: one without a description doesn't compile. */
export const DESCRIPTIONS: Readonly<Record<ProblemCode, Description>> = {
  invalid_request: {
    name: 'InvalidRequest',
    when: 'The request breaks a rule. `errors` names each place, where it is the body or a query parameter.',
    detail: '/data/0/id: must be a string',
  },
  unauthorized: {
    name: 'Unauthorized',
    when: 'No API key came along, or one that is not known (any more).',
    detail: 'send an API key: Authorization: Bearer YOUR_KEY',
  },
  forbidden: {
    name: 'Forbidden',
    when: 'The API key does not have the right to do this, or not in this namespace.',
    detail: 'this API key has the scopes read, and this call needs write',
  },
  not_found: {
    name: 'NotFound',
    when: 'There is nothing of this name.',
    detail: 'this namespace has no such request',
  },
  method_not_allowed: {
    name: 'MethodNotAllowed',
    when: 'The path is served, with other methods than this one: `Allow` names them.',
    detail: 'this path answers to GET, HEAD',
  },
  request_timeout: {
    name: 'RequestTimeout',
    when: 'The request took too long to arrive.',
    detail: 'the request took too long to arrive',
  },
  conflict: {
    name: 'Conflict',
    when: 'It cannot be done as things are.',
    detail: 'the file of this request is complete: ask for a new upload URL',
  },
  too_large: {
    name: 'TooLarge',
    when: 'The body is larger than the limit, once decompressed.',
    detail: 'the body is larger than the limit',
  },
  unsupported_media_type: {
    name: 'UnsupportedMediaType',
    when: 'The body is not `application/json` in UTF-8, or comes in a `Content-Encoding` that is not served.',
    detail: 'send the body as Content-Type: application/json',
  },
  rate_limited: {
    name: 'RateLimited',
    when: 'Too much has come with this API key, or too many calls without a valid one from this address.',
    detail: 'this API key may send 10 requests per second: try again in 1 second',
  },
  headers_too_large: {
    name: 'HeadersTooLarge',
    when: 'The headers are larger than 16 KiB.',
    detail: 'the headers are larger than 16 KiB',
  },
  internal_error: {
    name: 'InternalError',
    when: 'A bug of the server, whose log tells more.',
    detail: 'something went wrong on our side',
  },
  unavailable: {
    name: 'Unavailable',
    when: 'The queue or the database is away, or more has come than can be taken. Nothing was taken: try again.',
    detail: 'the queue cannot take requests at the moment: try again',
  },
  queue_full: {
    name: 'QueueFull',
    when: 'Or the queue is full, and `Retry-After` says when that is likely to be over.',
    detail: 'the queue is full: try again in 12 seconds',
  },
};
