/** Errors in the document: what each means, and which ones an operation can answer with. */
import { z } from 'zod';
import { REQUEST_ID } from '../../domain/request-id.ts';
import { MAX_ISSUES } from '../../domain/storable.ts';
import type { ProblemCode } from '../../errors.ts';
import { PROBLEMS, ProblemError } from '../../errors.ts';
import { problemBody } from '../problem.ts';
import { commonHeaders, headerObjects, PROBLEM_HEADERS } from './headers.ts';
import type { Operation } from './operation.ts';
import { DESCRIPTIONS } from './problem-descriptions.ts';
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
  admin: OF_KEYS,
  metrics: OF_KEYS,
  signed: ['forbidden', 'unavailable'],
  open: [],
};

/** The errors of operations as components of the document, by name. */
export function problemResponses(operations: readonly Operation[]): Readonly<Record<string, unknown>> {
  const all = operations.flatMap(codesByStatus).map((codes) => [nameOf(codes), responseOf(codes)] as const);
  return Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The errors of an operation, by status: references to the components, with its own words where it has some. */
export function problemsOf(operation: Operation): Readonly<Record<number, unknown>> {
  const { problems = {} } = operation;
  return Object.fromEntries(
    codesByStatus(operation).map((codes) => {
      const reference = { $ref: `#/components/responses/${nameOf(codes)}` };
      const hasOwnWords = codes.some((code) => typeof problems[code] === 'string');
      const description = codes.map((code) => problems[code] ?? DESCRIPTIONS[code].when).join(' ');
      return [statusOf(codes), hasOwnWords ? { ...reference, description } : reference];
    }),
  );
}

/** The errors that an operation can answer with, those of one status together. */
function codesByStatus({ access, problems = {} }: Operation): readonly ProblemCode[][] {
  const all = [...ALWAYS, ...BY_ACCESS[access], ...Object.keys(problems)];
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of CODES.filter((one) => all.includes(one))) {
    const { status } = PROBLEMS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return [...byStatus.values()];
}

function nameOf(codes: readonly ProblemCode[]): string {
  return codes.map((code) => DESCRIPTIONS[code].name).join('Or');
}

function statusOf([code]: readonly ProblemCode[]): number {
  return code === undefined ? 0 : PROBLEMS[code].status;
}

function responseOf(codes: readonly ProblemCode[]): unknown {
  const examples = codes.map((code) => {
    const problem = new ProblemError(code, DESCRIPTIONS[code].detail);
    const value: unknown = JSON.parse(problemBody(problem, EXAMPLE.requestId));
    return [code, { summary: PROBLEMS[code].title, value }];
  });
  const headers = codes.map((code) => headerObjects(PROBLEM_HEADERS[code] ?? {}));
  return {
    description: codes.map((code) => DESCRIPTIONS[code].when).join(' '),
    headers: Object.assign({}, commonHeaders(), ...headers) as unknown,
    content: {
      'application/problem+json': {
        schema: schemaOf(PROBLEM),
        examples: Object.fromEntries(examples) as unknown,
      },
    },
  };
}
