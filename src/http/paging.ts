/** Lists: `limit` and `cursor` in, `{"data": […], "next_cursor": …}` out, the same for every route. */
import { z } from 'zod';
import { ProblemError } from '../errors.ts';

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 500;
const LIMIT_RULE = `must be a whole number from 1 to ${MAX_LIMIT}`;

/** A page that is asked for. */
export interface Page {
  readonly limit: number;
  /** The key after which the page begins, as it was given to {@link nextCursor}; undefined for the first page. */
  readonly after: string | undefined;
}

/** The query parameters of every list. */
export const pageQuery = z.object({
  limit: z
    .preprocess(
      wholeNumber,
      z.int(LIMIT_RULE).min(1, LIMIT_RULE).max(MAX_LIMIT, LIMIT_RULE).default(DEFAULT_LIMIT),
    )
    .meta({ description: 'How many entries the page has at most.' }),
  cursor: z.string().max(8_192).optional().meta({
    description: 'Where the page begins: `next_cursor` of the one before. Without it, it is the first.',
  }),
});

/** `Number` would also take `0x10`, `1e2` and blanks. */
function wholeNumber(text: unknown): unknown {
  return typeof text === 'string' && /^(?:0|[1-9]\d*)$/.test(text) ? Number(text) : text;
}

/**
 * Reads query parameters.
 * @throws ProblemError 400 that names each parameter that isn't valid
 */
export function readQuery<T>(schema: z.ZodType<T>, query: unknown): T {
  const result = schema.safeParse(query);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => ({ path: `/${path.join('/')}`, message }));
  const [first] = issues;
  throw new ProblemError('invalid_request', `query parameter ${first?.path.slice(1)}: ${first?.message}`, {
    issues,
  });
}

/** Reads `limit` and `cursor`. @throws ProblemError 400 */
export function readPage(query: unknown): Page {
  const { limit, cursor } = readQuery(pageQuery, query);
  return { limit, after: cursor === undefined ? undefined : readCursor(cursor) };
}

/** The cursor of the page that follows `key`. Clients should take it as it is. */
export function nextCursor(key: string): string {
  return Buffer.from(key, 'utf8').toString('base64url');
}

function readCursor(cursor: string): string {
  const key = Buffer.from(cursor, 'base64url').toString('utf8');
  // Postgres can't compare with U+0000, which no key holds.
  if (key === '' || key.includes('\0') || nextCursor(key) !== cursor) {
    throw new ProblemError(
      'invalid_request',
      'query parameter cursor: take it from next_cursor of the page before',
    );
  }
  return key;
}
