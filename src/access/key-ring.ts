/**
 * The API keys in memory, so that no request waits for a look-up and keys go on working while Postgres is away. Only
 * hashes are held.
 */
import { timingSafeEqual } from 'node:crypto';
import type { ActiveApiKey } from '../domain/api-key.ts';
import { hashApiKey, isApiKey, resemblesApiKey, SCOPES } from '../domain/api-key.ts';
import type { Caller } from './caller.ts';
import { SETTINGS_PREFIX } from './caller.ts';

/**
 * Why a key isn't let in:
 * - `mistyped`: it has the prefix of Inlet's own keys, and its checksum is wrong.
 * - `unknown`: there is no such key, or no more.
 * - `expired`: there is, and its time is over.
 * - `unavailable`: it may be one of the database, of which nothing is known yet.
 */
export type KeyRefusal = 'mistyped' | 'unknown' | 'expired' | 'unavailable';

interface Entry {
  readonly hash: Buffer;
  readonly caller: Caller;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  /** When it was last let in, in milliseconds since 1970; 0: not in this process. */
  usedAt: number;
}

/**
 * Entries by the first four bytes of their hash. What of a hash is found by position is no more than an attacker can
 * learn about it anyway; the rest is compared in constant time.
 */
class Entries {
  readonly #byPrefix = new Map<number, Entry[]>();

  constructor(entries: readonly Entry[]) {
    for (const entry of entries) {
      const prefix = entry.hash.readUInt32BE(0);
      const bucket = this.#byPrefix.get(prefix);
      if (bucket) bucket.push(entry);
      else this.#byPrefix.set(prefix, [entry]);
    }
  }

  find(hash: Buffer): Entry | undefined {
    return this.#byPrefix.get(hash.readUInt32BE(0))?.find((entry) => timingSafeEqual(entry.hash, hash));
  }

  *[Symbol.iterator](): Generator<Entry> {
    for (const bucket of this.#byPrefix.values()) yield* bucket;
  }
}

export class KeyRing {
  readonly #fixed: Entries;
  readonly #now: () => number;
  #kept: Entries | undefined;
  /** When keys were last used that are no more, by id: until {@link usedSince} need not tell it any more. */
  readonly #gone = new Map<string, number>();

  /**
   * @param fixed keys of this process's settings, which have access to everything
   * @param now the clock, in milliseconds since 1970
   */
  constructor(fixed: readonly string[], now: () => number = Date.now) {
    this.#fixed = new Entries(fixed.map(fixedEntry));
    this.#now = now;
  }

  /** How many keys there are; undefined as long as those of the database aren't known. */
  get size(): number | undefined {
    return this.#kept && [...this.#fixed, ...this.#kept].length;
  }

  /** Takes these as the keys of the database from now on. */
  replace(keys: readonly ActiveApiKey[]): void {
    const before = this.#kept;
    const after = new Entries(keys.map((key) => keptEntry(key, before?.find(key.hash)?.usedAt ?? 0)));
    for (const { hash, caller, usedAt } of before ?? [])
      if (usedAt > 0 && !after.find(hash)) this.#gone.set(caller.id, usedAt);
    this.#kept = after;
  }

  /** Tells whose key this is, or why it is not let in. */
  identify(key: string): Caller | KeyRefusal {
    const hash = hashApiKey(key);
    const entry = this.#kept?.find(hash) ?? this.#fixed.find(hash);
    if (entry) {
      const now = this.#now();
      if (entry.expiresAt <= now) return 'expired';
      entry.usedAt = now;
      return entry.caller;
    }
    // Those of the database have Inlet's own form.
    if (!isApiKey(key)) return resemblesApiKey(key) ? 'mistyped' : 'unknown';
    return this.#kept ? 'unknown' : 'unavailable';
  }

  /**
   * The keys of the database that were let in after `since`, also those that are revoked by now.
   * @param since milliseconds since 1970, never less than at the call before
   */
  usedSince(since: number): { id: string; at: Date }[] {
    for (const [id, usedAt] of this.#gone) if (usedAt <= since) this.#gone.delete(id);
    const used = new Map(this.#gone);
    for (const { caller, usedAt } of this.#kept ?? []) if (usedAt > since) used.set(caller.id, usedAt);
    return [...used].map(([id, usedAt]) => ({ id, at: new Date(usedAt) }));
  }
}

function fixedEntry(key: string, index: number): Entry {
  const caller: Caller = {
    id: `${SETTINGS_PREFIX}${index + 1}`,
    name: `key ${index + 1} of the settings`,
    scopes: SCOPES,
    namespaces: undefined,
    requestRate: undefined,
    objectRate: undefined,
  };
  return { hash: hashApiKey(key), caller, expiresAt: Number.POSITIVE_INFINITY, usedAt: 0 };
}

function keptEntry({ hash, expiresAt, namespaces, ...rights }: ActiveApiKey, usedAt: number): Entry {
  return {
    hash,
    caller: { ...rights, namespaces: namespaces && new Set(namespaces) },
    expiresAt: expiresAt?.getTime() ?? Number.POSITIVE_INFINITY,
    usedAt,
  };
}
