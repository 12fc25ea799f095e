/**
 * Reading JSON as text: where values begin and end, without building them.
 *
 * Objects travel and are stored as the text that was sent (`JSON.parse` would round large numbers), so the
 * text itself has to be cut and checked. Every function here expects text that `JSON.parse` has accepted.
 */

import type { Sliced } from './slices.ts';
import { atOnce, SLICE_LENGTH } from './slices.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const LOWER_U = 0x75;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** A stretch of the text: `end` is the offset after its last character. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** What {@link walk} tells of as it passes; offsets are in UTF-16 code units. */
export interface Visitor {
  /** An object or array opens at `offset`; `depth` counts it (the outermost is 1). */
  open?(offset: number, depth: number): void;
  /** A string, quotes included. */
  string?(start: number, end: number): void;
  number?(start: number, end: number): void;
  /** A comma, colon or closing bracket in the object or array at `depth`. */
  mark?(offset: number, code: number, depth: number): void;
}

/** Passes once over `text` and tells `visitor` of its tokens. White space and `true`, `false`, `null` are passed over. */
export function walk(text: string, visitor: Visitor): void {
  atOnce(walkSliced(text, visitor));
}

/** {@link walk} in slices. */
export function* walkSliced(text: string, visitor: Visitor): Sliced<void> {
  let depth = 0;
  let i = 0;
  /** Where the string began of which a part has been passed. */
  let stringStart = -1;
  let pauseAt = SLICE_LENGTH;
  while (i < text.length) {
    if (i >= pauseAt) {
      yield;
      pauseAt = i + SLICE_LENGTH;
    }
    const code = text.charCodeAt(i);
    if (stringStart >= 0) {
      i = passString(text, i, i + SLICE_LENGTH);
      if (text.charCodeAt(i) === QUOTE) {
        i += 1;
        visitor.string?.(stringStart, i);
        stringStart = -1;
      }
    } else if (code === QUOTE) {
      const end = endOfPlainString(text, i);
      if (end === undefined) {
        stringStart = i;
        i += 1;
      } else {
        visitor.string?.(i, end);
        i = end;
      }
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1;
      visitor.open?.(i, depth);
      i += 1;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      visitor.mark?.(i, code, depth);
      depth -= 1;
      i += 1;
    } else if (code === COMMA || code === COLON) {
      visitor.mark?.(i, code, depth);
      i += 1;
    } else if (code === MINUS || isDigit(code)) {
      const end = endOfNumber(text, i);
      visitor.number?.(i, end);
      i = end;
    } else {
      i += 1;
    }
  }
}

/** How deep objects and arrays are nested: {@link walk} for the one question that every long text is asked. */
export function maxDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = (endOfPlainString(text, i) ?? passString(text, i + 1, text.length) + 1) - 1;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth += 1;
      if (depth > deepest) deepest = depth;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth -= 1;
  }
  return deepest;
}

/**
 * Finds the value of a member of the outermost object; of several members with this name the last, as
 * `JSON.parse` and `jsonb` do it.
 */
export function memberSpan(text: string, name: string): Span | undefined {
  return atOnce(memberSpans(text, [name]))[0];
}

/** {@link memberSpan} for each of `names`, in slices. */
export function* memberSpans(text: string, names: readonly string[]): Sliced<(Span | undefined)[]> {
  const found: (Span | undefined)[] = names.map(() => undefined);
  let member = -1;
  let valueStart = 0;
  let lastString: Span = { start: 0, end: 0 };
  yield* walkSliced(text, {
    string(start, end) {
      lastString = { start, end };
    },
    mark(offset, code, depth) {
      if (depth !== 1) return;
      if (code === COLON) {
        member = names.findIndex((name) => isName(text, lastString, name));
        valueStart = offset + 1;
      } else if (member >= 0) {
        found[member] = trimmed(text, valueStart, offset);
        member = -1;
      }
    },
  });
  return found;
}

/** Whether a string literal says `name`. */
export function isName(text: string, { start, end }: Span, name: string): boolean {
  // No character takes more than the six of `\u0061`.
  return end - start - 2 <= 6 * name.length && stringValue(text, start, end) === name;
}

/** Cuts a comma-separated list of values (an array's text without its brackets) into the text of each value. */
export function splitList(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  walk(text, {
    mark(offset, code, depth) {
      if (depth !== 0 || code !== COMMA) return;
      parts.push(text.slice(start, offset).trim());
      start = offset + 1;
    },
  });
  const rest = text.slice(start).trim();
  if (rest !== '' || parts.length > 0) parts.push(rest);
  return parts;
}

/** A value or member name that {@link walkPaths} passes. */
export interface Place {
  readonly kind: 'open' | 'string' | 'number';
  readonly start: number;
  /** Offset after it; after the opening bracket of an object or array. */
  readonly end: number;
  /** How many objects and arrays are open, this one included. */
  readonly depth: number;
  /** Its JSON pointer (RFC 6901); a member name has that of its member. To be called while it is visited. */
  readonly pointer: () => string;
}

/** Longest pointer that is made, in UTF-16 code units: member names are the client's, and may be megabytes. */
export const MAX_POINTER_LENGTH = 2_500;

/** Each step takes a character of a pointer: so many are kept account of. */
const MAX_STEPS = MAX_POINTER_LENGTH;

/** Passes once over `text` like {@link walk}, keeping account of where it is. */
export function* walkPaths(text: string, visit: (place: Place) => void): Sliced<void> {
  const path: { index: number; key: Span | undefined }[] = [];
  /** How many more levels are open than `path` has steps. */
  let beyond = 0;
  // Keys are read out only where somebody asks: on the way past they are just remembered.
  const pointer = (): string =>
    pointerTo(path, ({ index, key }) =>
      key ? stringBeginning(text, key, MAX_POINTER_LENGTH) : String(index),
    );
  yield* walkSliced(text, {
    open(start, depth) {
      visit({ kind: 'open', start, end: start + 1, depth, pointer });
      if (path.length < MAX_STEPS) path.push({ index: 0, key: undefined });
      else beyond += 1;
    },
    string(start, end) {
      const top = beyond > 0 ? undefined : path.at(-1);
      // A string before a colon is the name of the member that comes.
      if (top && nextCode(text, end) === COLON) top.key = { start, end };
      visit({ kind: 'string', start, end, depth: path.length + beyond, pointer });
    },
    number(start, end) {
      visit({ kind: 'number', start, end, depth: path.length + beyond, pointer });
    },
    mark(_offset, code) {
      const top = beyond > 0 ? undefined : path.at(-1);
      if (code === COMMA) {
        if (top) top.index += 1;
      } else if (code !== COLON) {
        if (beyond > 0) beyond -= 1;
        else path.pop();
      }
    },
  });
}

/**
 * A JSON pointer (RFC 6901), made of no more steps and of no more of a step than it shows.
 * @param steps from the outermost
 * @param read what a step says, or its beginning
 */
export function pointerTo<T = string>(steps: readonly T[], read: (step: T) => string = String): string {
  let pointer = '';
  for (const step of steps) {
    if (pointer.length > MAX_POINTER_LENGTH) break;
    const name = read(step).slice(0, MAX_POINTER_LENGTH);
    pointer += `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  }
  return pointer;
}

/** The value of the string literal at `start`..`end`, quotes included. */
export function stringValue(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1);
  return inner.includes('\\') ? (JSON.parse(`"${inner}"`) as string) : inner;
}

/** The first characters of a string literal's value; all of them where there are at most `most` UTF-16 code units. */
function stringBeginning(text: string, { start, end }: Span, most: number): string {
  let i = start + 1;
  for (let units = 0; units < most && i < end - 1; units += 1) {
    if (text.charCodeAt(i) !== BACKSLASH) i += 1;
    else i += text.charCodeAt(i + 1) === LOWER_U ? 6 : 2;
  }
  return stringValue(text, start, i + 1);
}

/** Where a string ends whose first quote closes it; undefined where that may be escaped. */
function endOfPlainString(text: string, start: number): number | undefined {
  const quote = text.indexOf('"', start + 1);
  return text.charCodeAt(quote - 1) === BACKSLASH ? undefined : quote + 1;
}

/** The offset of the quote that closes a string, or some place after `most` in it. @param from inside of it */
function passString(text: string, from: number, most: number): number {
  let i = from;
  while (i < most) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) return i;
    i += code === BACKSLASH ? 2 : 1;
  }
  return i;
}

/** Numbers of more digits than this are passed by a regular expression, which megabytes of them don't take long. */
const MANY_DIGITS = 1_000;
const DIGITS = /[0-9]*/y;

/** The offset of the first character from `from` on that is no digit. */
export function passDigits(text: string, from: number): number {
  let i = from;
  while (isDigit(text.charCodeAt(i))) {
    i += 1;
    if (i - from < MANY_DIGITS) continue;
    DIGITS.lastIndex = i;
    DIGITS.test(text);
    return DIGITS.lastIndex;
  }
  return i;
}

function endOfNumber(text: string, start: number): number {
  let i = passDigits(text, start + 1);
  for (;;) {
    const code = text.charCodeAt(i);
    // . + - e E
    if (code !== 0x2e && code !== 0x2b && code !== MINUS && (code | 0x20) !== 0x65) return i;
    i = passDigits(text, i + 1);
  }
}

/** Whether a UTF-16 code unit is one of 0 to 9. */
export function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** Whether a UTF-16 code unit is white space, as JSON has it. */
export function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function nextCode(text: string, from: number): number {
  let i = from;
  while (isSpace(text.charCodeAt(i))) i += 1;
  return text.charCodeAt(i);
}

function trimmed(text: string, from: number, to: number): Span {
  let start = from;
  let end = to;
  while (start < end && isSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end -= 1;
  return { start, end };
}
