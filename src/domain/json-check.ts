/**
 * Whether a text is JSON, by the grammar of RFC 8259 and so by `JSON.parse`, but without building what it says: that
 * takes up to 24 bytes of memory for each byte of text.
 */

import { isDigit, isSpace, passDigits } from './json-text.ts';
import type { Sliced } from './slices.ts';
import { SLICE_LENGTH } from './slices.ts';

const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const LOWER_E = 0x65;
const LOWER_U = 0x75;
/** Sets the bit by which upper and lower case differ. */
const LOWER = 0x20;
/** What may follow a backslash, beside `u` and four digits. */
const ESCAPES = new Set(Array.from('"\\/bfnrt', (escaped) => escaped.charCodeAt(0)));

/** What may stand at a place, beside white space: `end` is what follows a value. */
type Expected = 'value' | 'name' | 'string' | 'colon' | 'end';

/**
 * Finds what makes a text no JSON.
 * @returns the offset of the mistake, in UTF-16 code units; undefined where there is none
 */
export function* findJsonMistake(text: string): Sliced<number | undefined> {
  const open = new Levels();
  let expected: Expected = 'value';
  let isName = false;
  let isEmpty = false;
  let i = 0;
  let pauseAt = SLICE_LENGTH;
  for (;;) {
    if (i >= pauseAt) {
      yield;
      pauseAt = i + SLICE_LENGTH;
    }
    const code = text.charCodeAt(i);
    if (expected === 'string') {
      i = passString(text, i);
      if (text.charCodeAt(i) === QUOTE) {
        i += 1;
        expected = isName ? 'colon' : 'end';
      }
    } else if (isSpace(code)) {
      i += 1;
    } else if ((expected === 'end' || isEmpty) && open.depth > 0 && code === open.closing) {
      open.pop();
      isEmpty = false;
      expected = 'end';
      i += 1;
    } else if (expected === 'end') {
      if (open.depth === 0) return i === text.length ? undefined : i;
      if (code !== COMMA) return i;
      expected = open.isObject ? 'name' : 'value';
      i += 1;
    } else if (expected === 'colon') {
      if (code !== COLON) return i;
      expected = 'value';
      i += 1;
    } else if (code === QUOTE) {
      isEmpty = false;
      isName = expected === 'name';
      expected = 'string';
      i += 1;
    } else if (expected === 'name') {
      return i;
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      isEmpty = true;
      open.push(code === OPEN_BRACE);
      expected = open.isObject ? 'name' : 'value';
      i += 1;
    } else {
      isEmpty = false;
      expected = 'end';
      i = afterScalar(text, i);
    }
    if (i < 0) return ~i;
  }
}

/** What is open, in one byte for each level: there may be as many as half the text is long. */
class Levels {
  #levels = new Uint8Array(64);
  depth = 0;

  /** Whether the innermost one is an object, and not an array. */
  get isObject(): boolean {
    return this.#levels[this.depth - 1] === 1;
  }

  /** What closes it. */
  get closing(): number {
    return this.isObject ? CLOSE_BRACE : CLOSE_BRACKET;
  }

  push(isObject: boolean): void {
    if (this.depth === this.#levels.length) {
      const more = new Uint8Array(2 * this.depth);
      more.set(this.#levels);
      this.#levels = more;
    }
    this.#levels[this.depth] = isObject ? 1 : 0;
    this.depth += 1;
  }

  pop(): void {
    this.depth -= 1;
  }
}

// Each of these takes the offset of what it passes over, and returns the offset after it; or, where that is not as it
// should be, the offset of the mistake with its bits inverted, which is negative.

/** A number, or one of the names that JSON knows. */
function afterScalar(text: string, from: number): number {
  const code = text.charCodeAt(from);
  if (code === MINUS || isDigit(code)) return afterNumber(text, from);
  for (const literal of ['true', 'false', 'null']) {
    if (text.startsWith(literal, from)) return from + literal.length;
  }
  return ~from;
}

/** What a string has inside: to its closing quote, or a slice's length of it. */
function passString(text: string, from: number): number {
  let i = from;
  while (i < from + SLICE_LENGTH) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) return i;
    if (code === BACKSLASH) {
      const escaped = text.charCodeAt(i + 1);
      if (escaped === LOWER_U) {
        for (let digit = i + 2; digit < i + 6; digit += 1)
          if (!isHexDigit(text.charCodeAt(digit))) return ~digit;
        i += 6;
      } else if (ESCAPES.has(escaped)) i += 2;
      else return ~(i + 1);
    } else if (code >= 0x20) i += 1;
    // A control character, or the end, where the code is NaN.
    else return ~i;
  }
  return i;
}

function afterNumber(text: string, from: number): number {
  let i = text.charCodeAt(from) === MINUS ? from + 1 : from;
  if (text.charCodeAt(i) === ZERO) i += 1;
  else {
    i = afterDigits(text, i);
    if (i < 0) return i;
  }
  if (text.charCodeAt(i) === POINT) {
    i = afterDigits(text, i + 1);
    if (i < 0) return i;
  }
  if ((text.charCodeAt(i) | LOWER) !== LOWER_E) return i;
  const sign = text.charCodeAt(i + 1);
  return afterDigits(text, sign === PLUS || sign === MINUS ? i + 2 : i + 1);
}

/** At least one digit. */
function afterDigits(text: string, from: number): number {
  const end = passDigits(text, from);
  return end === from ? ~from : end;
}

function isHexDigit(code: number): boolean {
  return isDigit(code) || ((code | LOWER) >= 0x61 && (code | LOWER) <= 0x66);
}
