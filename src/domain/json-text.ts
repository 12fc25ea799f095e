/**
 * Reading JSON as text: where values begin and end, without building them.
 *
 * Objects travel and are stored as the text that was sent (`JSON.parse` would round large numbers), so the
 * text itself has to be cut and checked. Every function here expects text that `JSON.parse` has accepted.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
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
  let depth = 0;
  let i = 0;
  while (i < text.length) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      const end = endOfString(text, i);
      visitor.string?.(i, end);
      i = end;
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
    if (code === QUOTE) i = endOfString(text, i) - 1;
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
  let found: Span | undefined;
  let key: string | undefined;
  let lastString: Span = { start: 0, end: 0 };
  let valueStart = -1;
  walk(text, {
    string(start, end) {
      lastString = { start, end };
    },
    mark(offset, code, depth) {
      if (depth !== 1) return;
      if (code === COLON) {
        key = stringValue(text, lastString.start, lastString.end);
        valueStart = offset + 1;
      } else {
        if (key === name) found = trimmed(text, valueStart, offset);
        key = undefined;
      }
    },
  });
  return found;
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

/** Most steps of a path that are kept account of: each takes a character of a pointer, and nobody reads longer ones. */
const MAX_STEPS = 2_500;

/** Passes once over `text` like {@link walk}, keeping account of where it is. */
export function walkPaths(text: string, visit: (place: Place) => void): void {
  const path: { index: number; key: Span | undefined }[] = [];
  /** How many more levels are open than `path` has steps. */
  let beyond = 0;
  // Keys are read out only where somebody asks: on the way past they are just remembered.
  const pointer = (): string =>
    path
      .map(
        ({ index, key }) => `/${escapePointer(key ? stringValue(text, key.start, key.end) : String(index))}`,
      )
      .join('');
  walk(text, {
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

/** One step of a JSON pointer, with `~` and `/` escaped as RFC 6901 section 3 says. */
export function escapePointer(step: string): string {
  return step.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** The value of the string literal at `start`..`end`, quotes included. */
export function stringValue(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1);
  return inner.includes('\\') ? (JSON.parse(`"${inner}"`) as string) : inner;
}

function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end === -1 ? text.length : end + 1;
}

/** Whether an odd number of backslashes stands before `offset`. */
function isEscaped(text: string, offset: number): boolean {
  let i = offset - 1;
  while (text.charCodeAt(i) === BACKSLASH) i -= 1;
  return (offset - i) % 2 === 0;
}

function endOfNumber(text: string, start: number): number {
  let i = start + 1;
  for (; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    // Digits, and . + - e E
    if (!isDigit(code) && code !== 0x2e && code !== 0x2b && code !== MINUS && (code | 0x20) !== 0x65) break;
  }
  return i;
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
