/** The rules for what a write may hold, and the reading of its body. */
import { memberSpan } from './json-text.ts';
import type { Issue } from './storable.ts';
import { findUnstorable } from './storable.ts';

/** Longest id, in Unicode characters. (Postgres refuses index rows above about 2,700 bytes.) */
export const MAX_ID_LENGTH = 512;

/** Most issues that one answer names; the rest is counted. */
export const MAX_ISSUES = 100;

const NAMESPACE = /^[A-Za-z0-9_-]{1,128}$/;

/** A write's objects as they go into the queue. */
export interface Write {
  readonly ids: readonly string[];
  /** The objects' JSON text as it was sent, separated by commas. */
  readonly objects: string;
}

/** The body breaks the rules; `issues` says where and how (at most {@link MAX_ISSUES}, of `total`). */
export class InvalidWriteError extends Error {
  override readonly name = 'InvalidWriteError';
  readonly issues: readonly Issue[];
  readonly total: number;

  constructor(message: string, issues: readonly Issue[]) {
    super(message);
    this.issues = issues.slice(0, MAX_ISSUES);
    this.total = issues.length;
  }
}

/** The write has more objects than one request may hold. */
export class TooManyObjectsError extends Error {
  override readonly name = 'TooManyObjectsError';
}

export function isNamespace(text: string): boolean {
  return NAMESPACE.test(text);
}

/**
 * Reads the body of a write, `{"data": OBJECT | [OBJECT, …]}`.
 *
 * The parsed value is used for checking only; what is kept is the text.
 *
 * @param text the body, valid UTF-8 decoded, without byte order mark
 * @param maxObjects most objects that one write may have
 * @throws InvalidWriteError where the body is not JSON or breaks a rule
 * @throws TooManyObjectsError
 */
export function readWrite(text: string, maxObjects: number): Write {
  const body = parseJson(text);
  if (!isObject(body)) {
    throw invalid('the body must be a JSON object with a member "data"', '');
  }
  const span = memberSpan(text, 'data');
  if (!span) throw invalid('the member "data" is missing: send {"data": {…}} or {"data": [{…}, …]}', '/data');
  const data = body['data'];
  const isList = Array.isArray(data);
  if (!isList && !isObject(data)) {
    throw invalid('"data" must be an object or a list of objects', '/data');
  }
  if (isList && data.length === 0) throw invalid('"data" must hold at least one object', '/data');
  if (isList && data.length > maxObjects) {
    throw new TooManyObjectsError(
      `the request has ${data.length} objects, and the limit is ${maxObjects}: send several requests`,
    );
  }

  const issues: Issue[] = [];
  const ids: string[] = [];
  const objects: readonly unknown[] = isList ? data : [data];
  objects.forEach((object, index) => {
    const path = isList ? `/data/${index}` : '/data';
    const issue = isObject(object) ? idIssue(object['id'], path) : { path, message: 'must be an object' };
    if (issue) issues.push(issue);
    else ids.push((object as { id: string }).id);
  });
  const dataText = text.slice(span.start, span.end);
  for (const { path, message } of findUnstorable(dataText, isList ? 1 : 0)) {
    issues.push({ path: `/data${path}`, message });
  }
  const [first] = issues;
  if (first) {
    const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : '';
    throw new InvalidWriteError(`${first.path}: ${first.message}${more}`, issues);
  }
  return { ids, objects: isList ? dataText.slice(1, -1) : dataText };
}

/** What is wrong with an id, or undefined. `path` is the object's. */
function idIssue(id: unknown, path: string): Issue | undefined {
  const at = `${path}/id`;
  if (id === undefined) return { path: at, message: 'is missing: every object needs an "id"' };
  if (typeof id !== 'string') return { path: at, message: 'must be a string' };
  if (id === '') return { path: at, message: 'must not be empty' };
  // Code units are counted first: the exact count is needed only for ids that might be too long.
  if (id.length > MAX_ID_LENGTH && [...id].length > MAX_ID_LENGTH) {
    return { path: at, message: `must have at most ${MAX_ID_LENGTH} characters` };
  }
  return undefined;
}

function parseJson(text: string): unknown {
  if (text.trim() === '') throw invalid('the body is empty: send {"data": {…}} or {"data": [{…}, …]}', '');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(`the body is not valid JSON: ${(error as Error).message}`, '');
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(message: string, path: string): InvalidWriteError {
  return new InvalidWriteError(message, [{ path, message }]);
}
