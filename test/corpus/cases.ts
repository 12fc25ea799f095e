/** The forms of the cases in this folder. Each says first why it is there. */

/** A body that is refused with 400. `path` is where the first of the named mistakes is, as a JSON pointer. */
export type RefusedBody = readonly [why: string, body: string, path: string, detail: RegExp];

/**
 * The JSON text of a value that is refused as a member `v` of an object. `path` goes on behind it, and is empty for the
 * value itself.
 */
export type RefusedValue = readonly [why: string, value: string, path: string, message: RegExp];

/** The JSON text of a value, and the text as which it is read back. */
export type AcceptedValue = readonly [why: string, value: string, read: string];

/** A body that is taken, and each object that is there then: its id and the text of its data. */
export type AcceptedBody = readonly [
  why: string,
  body: string,
  objects: readonly (readonly [id: string, data: string])[],
];

/** So many characters of one kind. */
export const many = (text: string, count: number): string => text.repeat(count);

/** So many levels of one kind around a value. */
export const nested = (open: string, value: string, close: string, levels: number): string =>
  open.repeat(levels) + value + close.repeat(levels);
