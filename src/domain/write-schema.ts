/**
 * The rules of a write as schemas, for the API's document. Writes themselves are checked by hand (objects.ts): that is
 * faster, and keeps their text. A test holds the two together, for what a schema can express. It can't say that
 * strings hold no U+0000 and no lone surrogate, how many digits a number may have, or how deep objects may nest; and
 * how many objects a write may have is a setting, which is told in words.
 */
import { z } from 'zod';
import { idMistake, MAX_ID_LENGTH, NAMESPACE_PATTERN } from './objects.ts';
import { FIELDS } from './schema.ts';

/** What a namespace may be called. */
export const NAMESPACE = z.string().regex(NAMESPACE_PATTERN);

/** What an object may be called. */
export const OBJECT_ID = z
  .string()
  .refine((id) => idMistake(id) === undefined)
  .meta({ minLength: 1, maxLength: MAX_ID_LENGTH });

/** An object: all its members but the id are its sender's. */
export const OBJECT = z.looseObject({ id: OBJECT_ID });

/** The body of a write. What else it may hold is ignored. */
export const WRITE = z.object({
  data: z.union([OBJECT, z.array(OBJECT).min(1)]),
  schema: FIELDS.optional(),
});
