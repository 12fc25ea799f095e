/** The options of `inlet keys create`: from text to what they mean, or a usage error that says what is allowed. */
import { InvalidArgumentError } from 'commander';
import type { Scope } from '../domain/api-key.ts';
import { MAX_NAMESPACES, MAX_RATE, SCOPES } from '../domain/api-key.ts';
import { isNamespace } from '../domain/objects.ts';

const MAX_NAME_LENGTH = 128;
const DAY_MS = 24 * 60 * 60 * 1_000;

/** A name of at most 128 characters, on one line: it stands in lists and logs. */
export function parseName(text: string): string {
  const name = text.trim();
  if (name !== '' && name.length <= MAX_NAME_LENGTH && !/\p{Cc}/u.test(name)) return name;
  throw new InvalidArgumentError(`A name has 1 to ${MAX_NAME_LENGTH} characters, on one line.`);
}

/** `read,write` and so on. */
export function parseScopes(text: string): Scope[] {
  const scopes = [...new Set(listOf(text))];
  if (scopes.length > 0 && scopes.every(isScope)) return scopes;
  throw new InvalidArgumentError(`Scopes are ${SCOPES.join(', ')}, separated by commas.`);
}

/** `a,b`, or `*` for all. (Not undefined or null, which commander takes for an empty text.) */
export function parseNamespaces(text: string): string[] | '*' {
  if (text.trim() === '*') return '*';
  const namespaces = [...new Set(listOf(text))];
  if (namespaces.length > 0 && namespaces.length <= MAX_NAMESPACES && namespaces.every(isNamespace)) {
    return namespaces;
  }
  throw new InvalidArgumentError(
    `Namespaces are up to ${MAX_NAMESPACES} of 1 to 128 of A-Z a-z 0-9 _ -, separated by commas, or *.`,
  );
}

/** `100/s`, or `100`. */
export function parseRate(text: string): number {
  const rate = Number(/^(\d{1,10})(?:\/s)?$/.exec(text.trim())?.[1]);
  if (rate >= 1 && rate <= MAX_RATE) return rate;
  throw new InvalidArgumentError('A rate is a whole number for each second, like 100/s.');
}

/** `2027-01-31` (its beginning, UTC), `2027-01-31T12:00:00Z`, or `90d` from now. */
export function parseExpiry(text: string, now: number = Date.now()): Date {
  const days = /^(\d{1,5})d$/.exec(text.trim())?.[1];
  const time = days ? now + Number(days) * DAY_MS : parseTime(text);
  if (time > now) return new Date(time);
  throw new InvalidArgumentError(
    'It is a time to come: a date like 2027-01-31 (its beginning, UTC), 2027-01-31T12:00:00Z, or 90d from now.',
  );
}

/** Milliseconds since 1970 of a date (its beginning, UTC) or a time with its offset; NaN where it is neither. */
export function parseTime(text: string): number {
  const isTime = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/.test(text.trim());
  return isTime ? Date.parse(text.trim()) : Number.NaN;
}

/** What stands between commas. */
export function listOf(text: string): string[] {
  return text.split(',').map((item) => item.trim());
}

function isScope(text: string): text is Scope {
  return (SCOPES as readonly string[]).includes(text);
}
