import { describe, expect, it } from 'vitest';
import { KeyRing } from '../../src/access/key-ring.ts';
import type { ActiveApiKey } from '../../src/domain/api-key.ts';
import { createApiKey, hashApiKey } from '../../src/domain/api-key.ts';

function kept(key: string, rest: Partial<ActiveApiKey> = {}): ActiveApiKey {
  return {
    id: 'key_1',
    name: 'one',
    hash: hashApiKey(key),
    scopes: ['read'],
    namespaces: ['a'],
    requestRate: undefined,
    objectRate: undefined,
    expiresAt: undefined,
    ...rest,
  };
}

describe('keys of the settings', () => {
  it.each([['x'], ['x'.repeat(512)], ['sk_AZ-09~!"#$%'], ['é😀']])(
    'let in with access to everything: %.20s',
    (key) => {
      expect(new KeyRing(['other', key]).identify(key)).toMatchObject({
        id: 'settings_2',
        scopes: ['read', 'write', 'admin'],
        namespaces: undefined,
      });
    },
  );

  it.each(['', ' ', 'First', 'firs', 'first ', ' first', 'firstfirst', 'first,second', 'x'.repeat(10_000)])(
    'are the whole key and nothing else: not %.20j',
    (key) => {
      expect(new KeyRing(['first', 'second']).identify(key)).toBe('unknown');
    },
  );

  it('are not their hash, which is what is held', () => {
    const hash = hashApiKey('first');
    const ring = new KeyRing(['first']);
    expect(ring.identify(hash.toString('hex'))).toBe('unknown');
    expect(ring.identify(hash.toString('latin1'))).toBe('unknown');
  });
});

describe('keys of the database', () => {
  it('are let in with their own rights, and no more when they are gone', () => {
    const [one, two] = [createApiKey(), createApiKey()];
    const ring = new KeyRing([]);
    ring.replace([kept(one), kept(two, { id: 'key_2', namespaces: undefined, requestRate: 5 })]);
    expect(ring.identify(one)).toMatchObject({ id: 'key_1', scopes: ['read'], namespaces: new Set(['a']) });
    expect(ring.identify(two)).toMatchObject({ id: 'key_2', namespaces: undefined, requestRate: 5 });
    ring.replace([kept(two)]);
    expect(ring.identify(one)).toBe('unknown');
  });

  it('expire by themselves', () => {
    const key = createApiKey();
    let now = 1_000;
    const ring = new KeyRing([], () => now);
    ring.replace([kept(key, { expiresAt: new Date(2_000) })]);
    now = 1_999;
    expect(ring.identify(key)).toMatchObject({ id: 'key_1' });
    now = 2_000;
    expect(ring.identify(key)).toBe('expired');
  });

  it('may be there as long as nothing was read; what cannot be one is refused at once', () => {
    const ring = new KeyRing(['fixed']);
    expect(ring.size).toBeUndefined();
    expect(ring.identify(createApiKey())).toBe('unavailable');
    expect(ring.identify('fixed')).toMatchObject({ id: 'settings_1' });
    expect(ring.identify('sk_typo')).toBe('mistyped');
    expect(ring.identify('other')).toBe('unknown');
    ring.replace([]);
    expect(ring.size).toBe(1);
    expect(ring.identify(createApiKey())).toBe('unknown');
  });

  it('a mistyped key is told from one that is not known', () => {
    const key = createApiKey();
    const ring = new KeyRing([]);
    ring.replace([]);
    expect(ring.identify(key)).toBe('unknown');
    expect(ring.identify(`${key.slice(0, -1)}!`)).toBe('mistyped');
    expect(ring.identify(key.slice(0, -1))).toBe('mistyped');
  });

  it('remember when they were used, also when they are read anew', () => {
    const [one, two] = [createApiKey(), createApiKey()];
    const ring = new KeyRing(['fixed'], () => 5_000);
    ring.replace([kept(one), kept(two, { id: 'key_2' })]);
    ring.identify(one);
    ring.identify('fixed');
    ring.replace([kept(one), kept(two, { id: 'key_2' })]);
    expect(ring.usedSince(4_999)).toEqual([{ id: 'key_1', at: new Date(5_000) }]);
    expect(ring.usedSince(5_000)).toEqual([]);
  });

  it('that are gone are told to have been used until that is noted', () => {
    const [one, two] = [createApiKey(), createApiKey()];
    let now = 5_000;
    const ring = new KeyRing([], () => now);
    ring.replace([kept(one), kept(two, { id: 'key_2' })]);
    ring.identify(one);
    ring.replace([]);
    ring.replace([]);
    // As long as it can't be noted it is told again.
    for (const _ of [1, 2]) expect(ring.usedSince(4_999)).toEqual([{ id: 'key_1', at: new Date(5_000) }]);
    expect(ring.usedSince(5_000)).toEqual([]);
    // A key that is there again (somebody took its end back) is told of once, as it was used last.
    ring.replace([kept(one)]);
    now = 6_000;
    ring.identify(one);
    ring.replace([]);
    ring.replace([kept(one)]);
    now = 7_000;
    ring.identify(one);
    expect(ring.usedSince(5_000)).toEqual([{ id: 'key_1', at: new Date(7_000) }]);
  });

  it('of which two hashes begin alike are told apart', () => {
    const key = createApiKey();
    const alike = Buffer.from(hashApiKey(key));
    alike[31] = (alike[31] ?? 0) ^ 1;
    const ring = new KeyRing([]);
    ring.replace([kept(key, { id: 'key_alike', hash: alike }), kept(key)]);
    expect(ring.identify(key)).toMatchObject({ id: 'key_1' });
  });
});
