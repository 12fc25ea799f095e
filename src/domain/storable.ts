/**
 * What Postgres's `jsonb` can't hold, or could only hold at a price that one client would make all others pay.
 * Found in the text before anything is accepted, so that a 202 is a promise that can be kept.
 */
import { pointerAt, stringValue, walk } from './json-text.ts';

/** Deepest nesting that is taken; the object itself is level 1. (Postgres gives up somewhere above 10,000.) */
export const MAX_DEPTH = 1000;

/**
 * Most digits that a number may have when written out. `jsonb` keeps numbers as decimals and writes them
 * out in full: `1e131071` is 8 bytes in a request and 131 kB in every answer.
 */
export const MAX_DIGITS = 1000;

/** One thing that is wrong with a document, and where: `path` is a JSON pointer. */
export interface Issue {
  readonly path: string;
  readonly message: string;
}

/**
 * Lists what in `text` can't be stored: strings with U+0000 or a lone surrogate, numbers of more than
 * {@link MAX_DIGITS} digits, nesting deeper than {@link MAX_DEPTH}.
 *
 * @param text valid JSON
 * @param outerLevels how many levels of `text` don't count towards the depth
 * @returns an issue for each place, in the order of the text; each path is relative to `text`
 */
export function findUnstorable(text: string, outerLevels: number): Issue[] {
  const found: { offset: number; message: string }[] = [];
  const deepest = MAX_DEPTH + outerLevels;
  // Raw text that passed a UTF-8 check and JSON.parse has neither: both can only come from \u escapes.
  const mayHoldBadText = text.includes('\\u');
  walk(text, {
    open(offset, depth) {
      // One report for the first level too many of a branch, not one for each level below it.
      if (depth === deepest + 1) {
        found.push({ offset, message: `nesting is deeper than ${MAX_DEPTH} levels` });
      }
    },
    string(start, end) {
      if (!mayHoldBadText) return;
      const message = badText(stringValue(text, start, end));
      if (message) found.push({ offset: start, message });
    },
    number(start, end) {
      const digits = digitsWrittenOut(text.slice(start, end));
      if (digits > MAX_DIGITS) {
        found.push({ offset: start, message: `number takes more than ${MAX_DIGITS} digits to write out` });
      }
    },
  });
  return found.map(({ offset, message }) => ({ path: pointerAt(text, offset), message }));
}

function badText(value: string): string | undefined {
  if (value.includes('\0')) return 'string holds U+0000, which Postgres cannot store';
  if (!value.isWellFormed()) return 'string holds a lone surrogate, which is not valid Unicode';
  return undefined;
}

/**
 * How many digits a JSON number has once its exponent is written out, before and after the point together;
 * the same that Postgres's `numeric` shows for it.
 */
export function digitsWrittenOut(number: string): number {
  // Nearly every number of every request ends here.
  if (number.length < 16 && !/[eE]/.test(number)) return number.length;
  const match = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number);
  if (!match) return number.length;
  const whole = match[1] ?? '';
  const fraction = match[2] ?? '';
  const exponent = Number(match[3] ?? 0);
  const leadingZeros = /^0*/.exec(whole + fraction)?.[0].length ?? 0;
  const isZero = leadingZeros === whole.length + fraction.length;
  const before = isZero ? 1 : Math.max(1, whole.length + exponent - leadingZeros);
  const after = Math.max(0, fraction.length - exponent);
  return before + after;
}
