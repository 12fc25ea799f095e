import { describe, expect, it } from 'vitest';
import { parseEndpointRate, parseEvents, parseSince } from '../../src/commands/webhook-options.ts';

const NOW = Date.parse('2026-11-22T19:00:00Z');

describe('the options of inlet webhooks', () => {
  it.each([
    ['2h', '2026-11-22T17:00:00.000Z'],
    [' 3d ', '2026-11-19T19:00:00.000Z'],
    ['90m', '2026-11-22T17:30:00.000Z'],
    ['30s', '2026-11-22T18:59:30.000Z'],
    ['2026-11-22', '2026-11-22T00:00:00.000Z'],
    ['2026-11-22T19:00:00+01:00', '2026-11-22T18:00:00.000Z'],
  ])('since %s is %s', (text, time) => {
    expect(parseSince(text, NOW)).toBe(time);
  });

  it.each(['', 'yesterday', '2', 'h', '2w', '999999999d', '2026-13-01', '2026-11-22T19:00:00'])(
    'since %j is refused',
    (text) => {
      expect(() => parseSince(text, NOW)).toThrow('2026-11-22T19:00:00Z');
    },
  );

  it('read events and rates', () => {
    expect(parseEvents('workflow.failed, workflow.failed')).toEqual(['workflow.failed']);
    expect(() => parseEvents('workflow.lost')).toThrow('workflow.succeeded');
    expect(() => parseEvents('')).toThrow('workflow.succeeded');
    expect(parseEndpointRate('none')).toBe('none');
    expect(parseEndpointRate('7/s')).toBe(7);
    expect(() => parseEndpointRate('fast')).toThrow('rate');
  });
});
