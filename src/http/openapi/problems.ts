/** Errors in the document: what each means, and which ones an operation can answer with. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { MAX_ISSUES } from '../../domain/storable.ts';
import type { ProblemCode } from '../../errors.ts';
import { PROBLEMS, ProblemError } from '../../errors.ts';
import { problemBody } from '../problem.ts';
import { commonHeaders, headerObjects, PROBLEM_HEADERS } from './headers.ts';
import type { Operation } from './operation.ts';
import { EXAMPLE, named, schemaOf } from './schemas.ts';

const CODES = Object.keys(PROBLEMS) as ProblemCode[];

const code = z.enum(CODES).meta({ description: 'Which error it is: stable, for programs.' });

const PROBLEM = named(
  'Problem',
  z.strictObject({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.int().min(400).max(599),
    code,
    detail: z.string().meta({ description: 'What is wrong and what to do about it, for people.' }),
    message: z.string().meta({ description: 'The same as `detail`.' }),
    error: z.strictObject({ code, message: z.string() }).meta({ description: 'The same once more.' }),
    requestId: REQUEST_ID,
    errors: z
      .array(
        z.strictObject({
          path: z
            .string()
            .meta({ description: 'A JSON pointer into the body, or `/` and the query parameter.' }),
          message: z.string(),
        }),
      )
      .min(1)
      .max(MAX_ISSUES)
      .optional()
      .meta({ description: 'Each place that is not valid, and what is wrong there.' }),
    more_errors: z
      .int()
      .min(1)
      .optional()
      .meta({ description: `How many there are beyond the ${MAX_ISSUES} of \`errors\`.` }),
  }),
  'An error, as in RFC 9457. `message` and `error` repeat what it says, because some generated SDKs show only those.',
);

interface Description {
  /** Its name among the components. */
  readonly name: string;
  readonly when: string;
  /** A `detail`, as an example. */
  readonly detail: string;
}

const DESCRIPTIONS: Readonly<Record<ProblemCode, Description>> = {
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
    when: 'The body comes in a `Content-Type` or a `Content-Encoding` that is not served.',
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
};

/** The errors that every operation has, whoever may call it. */
const ALWAYS: readonly ProblemCode[] = [
  'invalid_request',
  'method_not_allowed',
  'request_timeout',
  'headers_too_large',
  'internal_error',
];

const OF_KEYS: readonly ProblemCode[] = ['unauthorized', 'forbidden', 'rate_limited', 'unavailable'];

const BY_ACCESS: Readonly<Record<Operation['access'], readonly ProblemCode[]>> = {
  read: OF_KEYS,
  write: OF_KEYS,
  metrics: OF_KEYS,
  signed: ['forbidden', 'unavailable'],
  open: [],
};

/** Every error as a component of the document. */
export function problemResponses(): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    CODES.map((code) => {
      const { name, when, detail } = DESCRIPTIONS[code];
      const value: unknown = JSON.parse(problemBody(new ProblemError(code, detail), EXAMPLE.requestId));
      const response = {
        description: when,
        headers: { ...commonHeaders(), ...headerObjects(PROBLEM_HEADERS[code] ?? {}) },
        content: {
          'application/problem+json': {
            schema: schemaOf(PROBLEM),
            examples: { example: { summary: PROBLEMS[code].title, value } },
          },
        },
      };
      return [name, response];
    }),
  );
}

/** The errors of an operation, by status: references to the components, with its own words where it has some. */
export function problemsOf({ access, problems = {} }: Operation): Readonly<Record<number, unknown>> {
  const own = Object.keys(problems) as ProblemCode[];
  const codes = CODES.filter((code) => [...ALWAYS, ...BY_ACCESS[access], ...own].includes(code));
  return Object.fromEntries(
    codes.map((code) => {
      const reference = { $ref: `#/components/responses/${DESCRIPTIONS[code].name}` };
      const when = problems[code];
      return [PROBLEMS[code].status, when === undefined ? reference : { ...reference, description: when }];
    }),
  );
}
