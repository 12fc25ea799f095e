/** The headers of answers in the document. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import type { ProblemCode } from '../../errors.ts';
import type { Header, Operation } from './operation.ts';
import { isScope } from './operation.ts';
import { EXAMPLE, schemaOf } from './schemas.ts';

type Headers = Readonly<Record<string, Header>>;

const COMMON: Headers = {
  'x-request-id': {
    description: 'The id of the request, by which it is found in the log.',
    required: true,
    schema: REQUEST_ID,
    example: EXAMPLE.requestId,
  },
};

/** https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-10.html; only for keys that have a rate. */
const RATE: Headers = {
  RateLimit: {
    description:
      'What is left (`r`) of the rates of this API key, and in how many seconds (`t`) there is more.',
    required: false,
    schema: z.string(),
    example: '"requests";r=7;t=1',
  },
  'RateLimit-Policy': {
    description: 'The rates of this API key: how many requests and objects (`q`) in how many seconds (`w`).',
    required: false,
    schema: z.string(),
    example: '"requests";q=10;w=1',
  },
};

const RETRY_AFTER = {
  'Retry-After': {
    description: 'In how many seconds to try again.',
    required: true,
    schema: z.int().min(0),
    example: 1,
  },
} satisfies Headers;

/** Those of errors, beside the ones that every answer has. */
export const PROBLEM_HEADERS: Readonly<Partial<Record<ProblemCode, Headers>>> = {
  unauthorized: {
    'WWW-Authenticate': {
      description: 'How to say who calls.',
      required: true,
      schema: z.string(),
      example: 'Bearer',
    },
  },
  method_not_allowed: {
    Allow: {
      description: 'The methods that the path is served with.',
      required: true,
      schema: z.string(),
      example: 'GET, HEAD',
    },
  },
  conflict: {
    'Retry-After': { ...RETRY_AFTER['Retry-After'], required: false },
    'x-should-retry': {
      description: '`false` where trying again will never help.',
      required: false,
      schema: z.literal('false'),
      example: 'false',
    },
  },
  unsupported_media_type: {
    'Accept-Encoding': {
      description: 'The encodings that are served, where it is for the encoding.',
      required: false,
      schema: z.string(),
      example: 'gzip, deflate, br, zstd',
    },
  },
  rate_limited: {
    ...RETRY_AFTER,
    'Retry-After-Ms': {
      description: 'The same in milliseconds, where it is known so well.',
      required: false,
      schema: z.int().min(0),
      example: 640,
    },
    ...RATE,
  },
  unavailable: RETRY_AFTER,
  queue_full: RETRY_AFTER,
};

/** Headers as the document has them. */
export function headerObjects(headers: Headers): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, { schema, ...rest }]) => [
      name,
      { ...rest, schema: schemaOf(schema) },
    ]),
  );
}

/** Those of every answer. */
export function commonHeaders(): Readonly<Record<string, unknown>> {
  return headerObjects(COMMON);
}

/** Those of every answer to an operation that is no error. */
export function answerHeaders({ access }: Operation): Readonly<Record<string, unknown>> {
  return { ...commonHeaders(), ...(isScope(access) ? headerObjects(RATE) : {}) };
}
