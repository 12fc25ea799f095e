/**
 * What Postgres's `jsonb` can't hold, or could only hold at a price that one client would make all others pay.
 * Found in the text before anything is accepted, so that a 202 is a promise that can be kept.
 */
import type { Place } from './json-text.ts';
import { MAX_POINTER_LENGTH, maxDepth, stringValue, walkPaths } from './json-text.ts';
import type { Sliced } from './slices.ts';
import { atOnce } from './slices.ts';

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

/** Most issues that one answer names; the rest is counted. */
export const MAX_ISSUES = 100;

/** Gathers issues: the first {@link MAX_ISSUES} with their paths, of the others only how many there are. */
export class Issues {
  readonly first: Issue[] = [];
  total = 0;

  /** @param path a JSON pointer, made only where it is to be shown */
  add(path: () => string, message: string): void {
    this.total += 1;
    if (this.first.length < MAX_ISSUES) this.first.push({ path: shortened(path()), message });
  }
}

function shortened(path: string): string {
  return path.length > MAX_POINTER_LENGTH ? `${beginningOf(path, MAX_POINTER_LENGTH)}…` : path;
}

/**
 * Finds what in `text` can't be stored: strings with U+0000 or a lone surrogate, numbers of more than
 * {@link MAX_DIGITS} digits, nesting deeper than {@link MAX_DEPTH}.
 *
 * @param text valid JSON
 * @param outerLevels how many levels of `text` don't count towards the depth
 * @param issues gets an issue for each place, in the order of the text
 * @param prefix put before each path
 */
export function findUnstorable(text: string, outerLevels: number, issues: Issues, prefix = ''): void {
  if (isSuspect(text, MAX_DEPTH + outerLevels)) atOnce(checkPlaces(text, outerLevels, issues, prefix));
}

/** {@link findUnstorable} in slices, for large texts. */
export function* checkPlaces(
  text: string,
  outerLevels: number,
  issues: Issues,
  prefix: string,
): Sliced<void> {
  const deepest = MAX_DEPTH + outerLevels;
  // Raw text that passed a UTF-8 check and was found to be JSON has neither: both can only come from \u escapes.
  /** The first `\u` that hasn't been passed yet, which stands in a later string more often than not; -1 for none. */
  let escapeAt = text.indexOf('\\u');
  const hasEscape = (start: number, end: number): boolean => {
    if (escapeAt !== -1 && escapeAt < start) escapeAt = text.indexOf('\\u', start);
    return escapeAt !== -1 && escapeAt < end;
  };
  const mistake = ({ kind, start, end, depth }: Place): string | undefined => {
    if (kind === 'number') return badNumber(text, start, end);
    if (kind === 'string') return hasEscape(start, end) ? badText(stringValue(text, start, end)) : undefined;
    // One report for the first level too many of a branch, not one for each level below it.
    return depth === deepest + 1 ? `nesting is deeper than ${MAX_DEPTH} levels` : undefined;
  };
  yield* walkPaths(text, (place) => {
    const message = mistake(place);
    if (message) issues.add(() => prefix + place.pointer(), message);
  });
}

/**
 * The beginning of a text, well-formed and in memory of its own: a mere slice would keep all of the text there.
 * @param most in UTF-16 code units
 */
export function beginningOf(text: string, most: number): string {
  return Buffer.from(text.slice(0, most)).toString();
}

/** Text as Postgres can hold it, for telling of what it could not. */
export function storableText(text: string): string {
  return text.replaceAll('\0', '\uFFFD').toWellFormed();
}

/**
 * A number with an exponent. Numbers stand at the beginning, or behind a bracket, colon, comma or white space: without that
 * every other text would be suspect for an id like `3e9c`.
 */
const EXPONENT = /(?:^|[[:, \t\r\n])-?[0-9][0-9.]*[eE]/;
/**
 * No number has more than {@link MAX_DIGITS} digits without half as many on one side of its point. Looked for from the
 * first digit of a run alone: from each of them it would take hundreds of times as long.
 */
const LONG_NUMBER = /(?<![0-9])[0-9]{500}/;

/** Whether `text` has to be looked at closely: wrongly yes for some, never wrongly no, and much faster. */
function isSuspect(text: string, deepest: number): boolean {
  return (
    text.includes('\\u') ||
    EXPONENT.test(text) ||
    (text.length > MAX_DIGITS && LONG_NUMBER.test(text)) ||
    (text.length > 2 * deepest && maxDepth(text) > deepest)
  );
}

function badNumber(text: string, start: number, end: number): string | undefined {
  // Most numbers are too short for it, exponent or not: that of 1e999 has three digits.
  if (end - start < 6 || digitsWrittenOut(text.slice(start, end)) <= MAX_DIGITS) return undefined;
  return `number takes more than ${MAX_DIGITS} digits to write out`;
}

function badText(value: string): string | undefined {
  if (value.includes('\0')) return 'string holds U+0000, which Postgres cannot store';
  if (!value.isWellFormed()) return 'string holds a lone surrogate, which is not valid Unicode';
  return undefined;
}

/** Postgres reads no exponent beyond this, not even that of a zero. */
const MAX_EXPONENT = 2 ** 30 - 1;

/**
 * How many digits a JSON number has once its exponent is written out, before and after the point together;
 * the same that Postgres's `numeric` shows for it. Infinite where Postgres can't read it at all.
 */
export function digitsWrittenOut(number: string): number {
  const match = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number);
  if (!match) return number.length;
  const whole = match[1] ?? '';
  const fraction = match[2] ?? '';
  const exponent = Number(match[3] ?? 0);
  if (Math.abs(exponent) > MAX_EXPONENT) return Number.POSITIVE_INFINITY;
  const leadingZeros = /^0*/.exec(whole + fraction)?.[0].length ?? 0;
  const isZero = leadingZeros === whole.length + fraction.length;
  const before = isZero ? 1 : Math.max(1, whole.length + exponent - leadingZeros);
  const after = Math.max(0, fraction.length - exponent);
  return before + after;
}
