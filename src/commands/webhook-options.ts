/** The options of `inlet webhooks`: from text to what the API takes, or a usage error that says what is allowed. */
import { InvalidArgumentError } from 'commander';
import type { EventType } from '../domain/webhook.ts';
import { EVENT_TYPES } from '../domain/webhook.ts';
import { listOf, parseRate, parseTime } from './key-options.ts';

const AGES: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `workflow.failed` and so on. */
export function parseEvents(text: string): EventType[] {
  const events = [...new Set(listOf(text))];
  if (events.every(isEvent)) return events;
  throw new InvalidArgumentError(`Events are ${EVENT_TYPES.join(', ')}, separated by commas.`);
}

/** `100/s`, or `none`. */
export function parseEndpointRate(text: string): number | 'none' {
  return text.trim() === 'none' ? 'none' : parseRate(text);
}

/**
 * `2026-11-22` (its beginning, UTC), `2026-11-22T19:00:00Z`, or `2h` for two hours ago.
 * @returns RFC 3339
 */
export function parseSince(text: string, now: number = Date.now()): string {
  const [, count, unit = ''] = /^(\d{1,9})([smhd])$/.exec(text.trim()) ?? [];
  const time = count === undefined ? parseTime(text) : now - Number(count) * (AGES[unit] ?? 0);
  if (time >= 0) return new Date(time).toISOString();
  throw new InvalidArgumentError(
    'It is a date like 2026-11-22 (its beginning, UTC), a time like 2026-11-22T19:00:00Z, or an age like 2h or 3d.',
  );
}

function isEvent(text: string): text is EventType {
  return (EVENT_TYPES as readonly string[]).includes(text);
}
