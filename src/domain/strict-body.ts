/** Bodies that are read for what they mean, and not kept as text: checked by a schema that refuses what it doesn't know. */
import type { z } from 'zod';
import { isObject, parseJson, throwIssues } from './objects.ts';
import { findUnstorable, Issues } from './storable.ts';
import { addZodIssues } from './zod-issues.ts';

/**
 * Reads a body.
 * @param text the body, valid UTF-8 decoded, without byte order mark
 * @param schema what it has to be: an object
 * @param example what to send, for who has sent something else altogether
 * @param check further rules for a body that is as the schema says; adds to the issues where one is broken
 * @throws InvalidWriteError that names each place
 */
export function readStrictBody<T>(
  text: string,
  schema: z.ZodType<T>,
  example: string,
  check: (value: T, issues: Issues) => void = () => undefined,
): T {
  const body = parseJson(text, example);
  const issues = new Issues();
  if (!isObject(body)) {
    issues.add(() => '', `the body must be a JSON object: ${example}`);
    return throwIssues(issues);
  }
  findUnstorable(text, 0, issues);
  const { data, error } = schema.safeParse(body);
  addZodIssues(error, [], issues);
  if (data !== undefined) check(data, issues);
  if (data === undefined || issues.total > 0) return throwIssues(issues);
  return data;
}
