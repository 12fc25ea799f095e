/** Times are microseconds since 1970 as a number: exact in a double until the year 2255. */

/** A time as RFC 3339 in UTC with microseconds: `2026-11-22T19:00:00.123456Z`. */
export function isoFromMicros(micros: number): string {
  const milliseconds = Math.floor(micros / 1000);
  const rest = String(micros - milliseconds * 1000).padStart(3, '0');
  return `${new Date(milliseconds).toISOString().slice(0, -1)}${rest}Z`;
}

/** The microseconds of a time as in RFC 3339; further digits are cut off. */
export function microsFromIso(time: string): number {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? '';
  const seconds = Date.parse(time.replace(/\.\d+/, '')) / 1_000;
  return seconds * 1_000_000 + Number(fraction.slice(0, 6).padEnd(6, '0'));
}
