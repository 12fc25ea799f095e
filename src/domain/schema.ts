/** The rules for a namespace's schema: what each field of its objects is, and how it is shown. */
import { z } from 'zod';
import { isLongerThan } from './characters.ts';
import { pointerTo } from './json-text.ts';
import type { Issues } from './storable.ts';
import { findUnstorable } from './storable.ts';
import { addZodIssues } from './zod-issues.ts';

/** Most fields of a schema: it travels with every request that brings it, and is read for every answer. */
const MAX_FIELDS = 1_000;
/** Longest schema, in UTF-16 code units: more than the fields of most can need. */
export const MAX_SCHEMA_LENGTH = 1024 * 1024;
/** Longest field name and text in a schema, in Unicode characters. */
const MAX_SCHEMA_TEXT = 512;

const TEXT = z
  .string()
  .refine(isShort, `must have at most ${MAX_SCHEMA_TEXT} characters`)
  .meta({ maxLength: MAX_SCHEMA_TEXT });

/** Members that aren't known are refused: a misspelt `content_type` would otherwise just have no effect. */
export const FIELD = z.strictObject({
  content_type: z
    .enum(['image_url', 'video_url', 'audio_url', 'website_url', 'datetime', 'metadata', 'card'])
    .optional(),
  display_hint: z
    .strictObject({
      type: z
        .enum([
          'title',
          'subtitle',
          'description',
          'primary_image_url',
          'video_url',
          'audio_url',
          'location',
          'date',
          'compact_text',
          'markdown',
          'html',
          'card',
          'chat_thread',
          'two_person_chat',
          'email.reply_to',
          'email.replyTo',
          'email.body',
          'email.subject',
          'email.body_image',
          'email.logo_image',
          'email.event',
          'email.footer',
        ])
        .optional(),
      name: TEXT.optional(),
      order: z.number().optional(),
    })
    .optional(),
  field_limit: z.number().positive().optional(),
  belongs_to: TEXT.optional(),
  namespace_ref: TEXT.optional(),
});

/** A schema as a whole, for the API's document; {@link checkSchema} is what checks it. */
export const FIELDS = z.record(TEXT, FIELD).meta({ maxProperties: MAX_FIELDS });

/** Parses a schema's text; one that is too long is null, which {@link checkSchema} knows better than to look at. */
export function parseSchema(text: string): unknown {
  return text.length > MAX_SCHEMA_LENGTH ? null : JSON.parse(text);
}

/**
 * Finds what is wrong with a schema. The value is only looked at: what is kept is its text.
 * @param schema the parsed value
 * @param text its JSON text
 * @param issues gets an issue for each place, with paths that begin with `/schema`
 */
export function checkSchema(schema: unknown, text: string, issues: Issues): void {
  if (text.length > MAX_SCHEMA_LENGTH) {
    issues.add(() => '/schema', `is longer than ${MAX_SCHEMA_LENGTH} characters`);
    return;
  }
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
    issues.add(() => '/schema', 'must be an object with a member for each field');
    return;
  }
  // Not FIELDS: z.record passes over a field that is named __proto__.
  const fields = Object.entries(schema);
  if (fields.length > MAX_FIELDS) {
    issues.add(() => '/schema', `has ${fields.length} fields, and the limit is ${MAX_FIELDS}`);
    return;
  }
  for (const [name, field] of fields) {
    const path = ['schema', name];
    if (!isShort(name)) {
      issues.add(() => pointerTo(path), `a field's name has at most ${MAX_SCHEMA_TEXT} characters`);
    } else addZodIssues(FIELD.safeParse(field).error, path, issues);
  }
  findUnstorable(text, 0, issues, '/schema');
}

function isShort(text: string): boolean {
  return !isLongerThan(text, MAX_SCHEMA_TEXT);
}
