/**
 * API keys as Inlet makes them: `sk_`, 43 random characters of base 62 (256.03 bits), and six characters of checksum.
 * The checksum tells a mistyped key from one that was revoked without a look-up, and lets scanners for leaked
 * secrets recognise a key. (Keys that operators choose themselves may be of any form.)
 */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { BASE62, randomBase62 } from './base62.ts';

const PREFIX = 'sk_';
const RANDOM_LENGTH = 43;
/** 62 to the power of 6 is more than 2 to the power of 32. */
const CHECKSUM_LENGTH = 6;
const FORM = new RegExp(`^${PREFIX}[0-9A-Za-z]{${RANDOM_LENGTH + CHECKSUM_LENGTH}}$`);

/** What a key may be used for. None of them includes another. */
export const SCOPES = ['read', 'write', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** Most namespaces that a key, or anything that is made with one, may be for. */
export const MAX_NAMESPACES = 1_000;

/** Highest rate for each second: what the tables' columns hold. */
export const MAX_RATE = 2 ** 31 - 1;

/** What a key is for, and what it may do. */
export interface ApiKeyRights {
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Undefined: all of them. */
  readonly namespaces: readonly string[] | undefined;
  /** Requests for each second; undefined: no limit. */
  readonly requestRate: number | undefined;
  /** Written objects for each second; undefined: no limit. */
  readonly objectRate: number | undefined;
  readonly expiresAt: Date | undefined;
}

/** A key that may be used, as it is held in memory. */
export interface ActiveApiKey extends ApiKeyRights {
  readonly id: string;
  /** SHA-256 of the key. */
  readonly hash: Buffer;
}

/** Makes a new key. */
export function createApiKey(): string {
  const random = randomBase62(RANDOM_LENGTH);
  return PREFIX + random + checksum(random);
}

/** The id of a key, which is no secret: `key_` and 16 random characters. */
export function createApiKeyId(): string {
  return `key_${randomBase62(16)}`;
}

/** Whether a text can be a key that an Inlet has made: it has the form, and its checksum is right. */
export function isApiKey(text: string): boolean {
  return FORM.test(text) && text.endsWith(checksum(text.slice(PREFIX.length, PREFIX.length + RANDOM_LENGTH)));
}

/** Whether a text looks as if it was meant to be a key that an Inlet has made. */
export function resemblesApiKey(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** What is kept of a key: its SHA-256, 32 bytes. (It needs no salt and no slow hash: 256 random bits can't be guessed.) */
export function hashApiKey(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}

/** CRC-32 in base 62. */
function checksum(random: string): string {
  let rest = crc32(random);
  let text = '';
  for (let i = 0; i < CHECKSUM_LENGTH; i += 1) {
    text = BASE62[rest % BASE62.length] + text;
    rest = Math.floor(rest / BASE62.length);
  }
  return text;
}
