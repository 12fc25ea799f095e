/** When a webhook is sent again that did not arrive: the schedule of Standard Webhooks, over about three days. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** How long after each failed attempt the next one is made, in milliseconds. After the last of them there is none. */
export const RETRY_SCHEDULE: readonly number[] = [
  ...[5 * SECOND, 5 * MINUTE, 30 * MINUTE],
  ...[2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR],
];

/** What failed together is not to come again together: each wait is longer or shorter by up to this part of it. */
const JITTER = 0.1;

/** Longest time that a receiver may have us wait, in milliseconds. */
const LONGEST_PAUSE_MS = 24 * HOUR;

/** How long a receiver is left alone that says "too many" and not for how long, in milliseconds. */
const DEFAULT_PAUSE_MS = 10 * SECOND;

const TOO_MANY_REQUESTS = 429;

/**
 * How long to wait for the next attempt, in milliseconds.
 * @param failures how many attempts have failed, at least 1
 * @param random from 0 to 1
 * @returns undefined where no further attempt is to be made
 */
export function retryDelay(
  failures: number,
  schedule: readonly number[] = RETRY_SCHEDULE,
  random: number = Math.random(),
): number | undefined {
  const delay = schedule[failures - 1];
  return delay === undefined ? undefined : Math.round(delay * (1 + JITTER * (2 * random - 1)));
}

/**
 * How long a receiver that did not take a webhook is to be left alone, in milliseconds.
 * @param retryAfter the header, if there is one (RFC 9110, section 10.2.3): seconds, or a date
 * @param now milliseconds since 1970
 * @returns undefined where it has not asked for that
 */
export function pauseAfter(
  statusCode: number,
  retryAfter: string | undefined,
  now: number = Date.now(),
): number | undefined {
  const asked = retryAfter === undefined ? undefined : readRetryAfter(retryAfter.trim(), now);
  if (asked === undefined) return statusCode === TOO_MANY_REQUESTS ? DEFAULT_PAUSE_MS : undefined;
  return Math.min(Math.max(asked, 0), LONGEST_PAUSE_MS);
}

function readRetryAfter(text: string, now: number): number | undefined {
  if (/^\d{1,10}$/.test(text)) return Number(text) * SECOND;
  // All dates of HTTP begin with the name of a day; Date.parse would read nearly anything.
  const time = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time) ? undefined : time - now;
}
