import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import {
  parseExpiry,
  parseName,
  parseNamespaces,
  parseRate,
  parseScopes,
} from '../../src/commands/key-options.ts';

const NOW = Date.parse('2026-11-24T10:00:00Z');

it.each([
  ['2027-01-31', '2027-01-31T00:00:00.000Z'],
  ['2027-01-31T12:00:00Z', '2027-01-31T12:00:00.000Z'],
  ['2027-01-31T12:00:00+02:00', '2027-01-31T10:00:00.000Z'],
  ['90d', '2027-02-22T10:00:00.000Z'],
])('--expires %s is %s', (text, time) => {
  expect(parseExpiry(text, NOW).toISOString()).toBe(time);
});

it.each([
  ['100/s', 100],
  ['1', 1],
  ['2147483647/s', 2 ** 31 - 1],
])('--rate %s is %d', (text, rate) => {
  expect(parseRate(text)).toBe(rate);
});

it('--namespaces is a list, or * for all', () => {
  expect(parseNamespaces('a, b,a')).toEqual(['a', 'b']);
  expect(parseNamespaces('*')).toBe('*');
});

it('--scopes is a list', () => {
  expect(parseScopes('write, read,write')).toEqual(['write', 'read']);
});

describe('what is not allowed is refused with what is', () => {
  it.each([
    [
      parseExpiry,
      ['2020-01-01', 'tomorrow', '0d', '2027-13-01', '1', 'Tue, 1 Jan 2030', '2027-01-31 12:00', ''],
    ],
    [parseRate, ['0', '-1', '1.5', '1e3', '100/m', 'fast', '2147483648', '']],
    [parseNamespaces, ['', 'a,', 'a b', '*,a', 'x'.repeat(129)]],
    [parseScopes, ['', 'all', 'read,', 'READ', '*']],
    [parseName, ['', '  ', 'x'.repeat(129), 'a\nb', 'a\u001b[31m']],
  ] as const)('%o', (parse, texts) => {
    for (const text of texts) expect(() => parse(text), text).toThrow(InvalidArgumentError);
  });
});
