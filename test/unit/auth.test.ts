import { describe, expect, it } from 'vitest';
import { keyCheck } from '../../src/http/auth.ts';

describe('keyCheck', () => {
  it('lets in every key of the set', () => {
    const isValid = keyCheck(['first', 'second', 'third']);
    for (const key of ['first', 'second', 'third']) expect(isValid(key)).toBe(true);
  });

  it('lets in keys of any characters and length', () => {
    const keys = ['x', 'x'.repeat(512), 'sk_AZ-09~!"#$%', 'é😀'];
    const isValid = keyCheck(keys);
    for (const key of keys) expect(isValid(key)).toBe(true);
  });

  it.each([
    '',
    ' ',
    'First',
    'firs',
    'first ',
    ' first',
    'firstfirst',
    'first,second',
    'unknown',
    'x'.repeat(10_000),
  ])('refuses %j', (key) => {
    expect(keyCheck(['first', 'second'])(key)).toBe(false);
  });

  it('refuses the hash of a key, which is what it keeps', () => {
    const hash = 'a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e';
    expect(keyCheck(['first'])(hash)).toBe(false);
    expect(keyCheck(['first'])(Buffer.from(hash, 'hex').toString('latin1'))).toBe(false);
  });

  it('refuses everything where there is no key', () => {
    expect(keyCheck([])('')).toBe(false);
    expect(keyCheck([])('any')).toBe(false);
  });
});
