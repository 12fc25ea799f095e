import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createApiKey, createApiKeyId, hashApiKey, isApiKey } from '../../src/domain/api-key.ts';

describe('an API key', () => {
  it('has a prefix and 49 characters that survive being copied, and no two are the same', () => {
    const keys = Array.from({ length: 500 }, createApiKey);
    for (const key of keys) expect(key).toMatch(/^sk_[0-9A-Za-z]{49}$/);
    expect(new Set(keys).size).toBe(500);
  });

  it('holds at least 256 random bits: each of its 43 places takes every one of 62 characters', () => {
    expect(43 * Math.log2(62)).toBeGreaterThanOrEqual(256);
    const seen = Array.from({ length: 43 }, () => new Set<string>());
    for (let n = 0; n < 2_000; n += 1) {
      const random = createApiKey().slice(3, 46);
      for (const [place, character] of [...random].entries()) seen[place]?.add(character);
    }
    for (const characters of seen) expect(characters.size).toBe(62);
  });

  it('is told from one with a wrong character at any place', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 51 }),
        fc.constantFrom(...'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-'),
        (place, character) => {
          const key = createApiKey();
          const changed = key.slice(0, place) + character + key.slice(place + 1);
          expect(isApiKey(changed)).toBe(changed === key);
        },
      ),
    );
  });

  it('is told from one with two neighbours swapped, cut off, or with something added', () => {
    for (let n = 0; n < 200; n += 1) {
      const key = createApiKey();
      const place = 3 + (n % 48);
      const swapped = key.slice(0, place) + key[place + 1] + key[place] + key.slice(place + 2);
      expect(isApiKey(swapped)).toBe(swapped === key);
      for (const wrong of [key.slice(0, -1), key.slice(1), `${key}0`, ` ${key}`, key.toUpperCase(), '']) {
        expect(isApiKey(wrong), wrong).toBe(false);
      }
    }
  });

  it('keeps its form: one that was made once is valid for ever', () => {
    expect(isApiKey('sk_XzBUtqXWxXuMI7xqy74V3mBr5g7l2TzPM6QnGCfkynD1NEAVl')).toBe(true);
  });
});

it('the hash of a key is its SHA-256', () => {
  expect(hashApiKey('first').toString('hex')).toBe(
    'a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e',
  );
});

it('the id of a key is no key', () => {
  expect(createApiKeyId()).toMatch(/^key_[0-9A-Za-z]{16}$/);
  expect(isApiKey(createApiKeyId())).toBe(false);
});
