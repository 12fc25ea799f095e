/** Times are microseconds since 1970 as a number: exact in a double until the year 2255. */

/** A time as RFC 3339 in UTC with microseconds: `2026-11-22T19:00:00.123456Z`. */
export function isoFromMicros(micros: number): string {
  const milliseconds = Math.floor(micros / 1000);
  const rest = String(micros - milliseconds * 1000).padStart(3, '0');
  return `${new Date(milliseconds).toISOString().slice(0, -1)}${rest}Z`;
}
