/**
 * Large JSON values, checked and read only as far as objects are known by: a value that `JSON.parse` builds takes up
 * to 24 bytes of memory for each byte of text, and blocks the process for most of a second for 10 MB of `{},{},…`.
 */
import { findJsonMistake } from './json-check.ts';
import { memberSpan, stringValue, walk } from './json-text.ts';

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
export function requireJson(text: string): void {
  const offset = findJsonMistake(text);
  if (offset === undefined) return;
  throw new SyntaxError(
    offset >= text.length
      ? 'Unexpected end of JSON input'
      : `Unexpected character in JSON at position ${offset}`,
  );
}

/**
 * Parses a text, or outlines it where it is large: an object then has only its `id`, and that is 0 where it is no
 * string; of an array those elements that are objects are outlined; all other values are null.
 * @param most so many elements of an array are looked at; beyond them it has its length and no more
 * @throws SyntaxError where it isn't JSON
 */
export function parseOrOutline(text: string, most: number): unknown {
  if (!isLarge(text)) return JSON.parse(text);
  requireJson(text);
  return outline(text.trim(), most);
}

function outline(text: string, most: number): unknown {
  if (text.startsWith(OPEN_BRACE)) return outlineObject(text);
  return text.startsWith(OPEN_BRACKET) ? outlineList(text, most) : null;
}

function outlineObject(text: string): { id?: unknown } {
  const span = memberSpan(text, 'id');
  if (!span) return {};
  return { id: text.charAt(span.start) === '"' ? stringValue(text, span.start, span.end) : 0 };
}

function outlineList(text: string, most: number): unknown[] {
  const list: unknown[] = [];
  let count = 0;
  let start = 1;
  walk(text, {
    mark(offset, code, depth) {
      if (depth !== 1 || code === COLON) return;
      // Nothing stands between the brackets of an empty list, and in no other place.
      const element = count < most || count === 0 ? text.slice(start, offset).trim() : undefined;
      if (element === '') return;
      if (element !== undefined && count < most)
        list.push(element.startsWith(OPEN_BRACE) ? outlineObject(element) : null);
      count += 1;
      start = offset + 1;
    },
  });
  list.length = count;
  return list;
}
