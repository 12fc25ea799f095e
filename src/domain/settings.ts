/** The reading of a body that sets a namespace's settings. */
import { z } from 'zod';
import { memberSpan, pointerTo } from './json-text.ts';
import { isObject, parseJson, throwIssues } from './objects.ts';
import { checkSchema, FIELDS } from './schema.ts';
import type { Sliced } from './slices.ts';
import { Issues } from './storable.ts';

const EMPTY_SCHEMA = '{}';

/** What {@link readSettings} reads, for the API's document. */
export const SETTINGS_BODY = z.strictObject({ schema: FIELDS.optional() });

/** What {@link readUploadOptions} reads, for the API's document. */
export const UPLOAD_OPTIONS = z.object({ schema: FIELDS.optional() });

/**
 * Reads the body that asks for an upload URL, `{}` or `{"schema": {FIELD: {…}, …}}`. Other members are ignored,
 * as beside data.
 * @returns the schema's JSON text; undefined where none came along
 * @throws InvalidWriteError
 */
export function* readUploadOptions(text: string): Sliced<string | undefined> {
  const body = objectOf(parseJson(text));
  yield;
  const span = memberSpan(text, 'schema');
  if (!span) return undefined;
  const issues = new Issues();
  const schema = text.slice(span.start, span.end);
  checkSchema(body['schema'], schema, issues);
  return issues.total > 0 ? throwIssues(issues) : schema;
}

/**
 * Reads `{"schema": {FIELD: {…}, …}}`. Every member may be left out, and none may be added: a misspelt one would
 * replace a schema with nothing.
 * @param text the body, valid UTF-8 decoded, without byte order mark
 * @returns the schema's JSON text
 * @throws InvalidWriteError
 */
export function* readSettings(text: string): Sliced<string> {
  const body = objectOf(parseJson(text));
  yield;
  const issues = new Issues();
  for (const name of Object.keys(body)) {
    if (name !== 'schema') issues.add(() => pointerTo([name]), 'is not known here');
  }
  const span = memberSpan(text, 'schema');
  const schema = span ? text.slice(span.start, span.end) : EMPTY_SCHEMA;
  if (span) checkSchema(body['schema'], schema, issues);
  return issues.total > 0 ? throwIssues(issues) : schema;
}

function objectOf(body: unknown): Record<string, unknown> {
  if (isObject(body)) return body;
  const issues = new Issues();
  issues.add(() => '', 'the body must be a JSON object: {"schema": {…}}');
  return throwIssues(issues);
}
