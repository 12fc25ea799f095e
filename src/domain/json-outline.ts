/**
 * Large JSON values, checked and read only as far as objects are known by: a value that `JSON.parse` builds takes up
 * to 24 bytes of memory for each byte of text, and blocks the process for most of a second for 10 MB of `{},{},…`.
 */
import { findJsonMistake } from './json-check.ts';
import type { Span } from './json-text.ts';
import { isName, stringValue, walkSliced } from './json-text.ts';
import type { Sliced } from './slices.ts';

/**
 * From this length on, in UTF-16 code units, a text is outlined instead of parsed. Below it `JSON.parse` is as good,
 * and what it builds stays below some megabytes.
 */
const LARGE = 256 * 1024;

const OPEN_BRACE = '{';
const OPEN_BRACKET = '[';
const COLON = 0x3a;

/** Whether a text should be outlined. */
export function isLarge(text: string): boolean {
  return text.length > LARGE;
}

/**
 * Makes sure that a text is JSON.
 * @throws SyntaxError that says where it isn't
 */
export function* requireJson(text: string): Sliced<void> {
  const offset = yield* findJsonMistake(text);
  if (offset === undefined) return;
  throw new SyntaxError(
    offset >= text.length
      ? 'Unexpected end of JSON input'
      : `Unexpected character in JSON at position ${offset}`,
  );
}

/**
 * Outlines a text: an object has only its `id`, and that is 0 where it is no string; of an array those elements that are
 * objects are outlined; all other values are null.
 * @param text valid JSON without white space around it
 * @param most so many elements of an array are looked at; beyond them it has its length and no more
 */
export function* outline(text: string, most: number): Sliced<unknown> {
  const isList = text.startsWith(OPEN_BRACKET);
  const objectDepth = isList ? 2 : 1;
  const list: ({ id?: unknown } | null)[] = [];
  let count = 0;
  let element: { id?: unknown } | null = null;
  let lastString: Span = { start: 0, end: 0 };
  /** Where the value of an `id` begins, while one is being passed. */
  let idStart = -1;
  yield* walkSliced(text, {
    open(offset, depth) {
      const isWanted = depth === objectDepth && (!isList || count < most);
      if (isWanted && text.startsWith(OPEN_BRACE, offset)) element = {};
    },
    string(start, end) {
      lastString = { start, end };
    },
    mark(offset, code, depth) {
      if (element && depth === objectDepth) {
        if (code === COLON) idStart = isName(text, lastString, 'id') ? offset + 1 : -1;
        else if (idStart >= 0) {
          element.id = idAt(text, idStart, offset, lastString);
          idStart = -1;
        }
      } else if (isList && depth === 1) {
        // Nothing stands between the brackets of an empty list, and in no other place.
        if (count === 0 && text.slice(1, offset).trim() === '') return;
        if (count < most) list.push(element);
        element = null;
        count += 1;
      }
    },
  });
  if (!isList) return element;
  list.length = count;
  return list;
}

/** @param last the last string before `end` */
function idAt(text: string, start: number, end: number, last: Span): unknown {
  const value = text.slice(start, end).trim();
  return value.startsWith('"') ? stringValue(text, last.start, last.end) : 0;
}
