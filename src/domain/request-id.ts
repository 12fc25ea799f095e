/**
 * Request ids: `req_` and a ULID in lower case (https://github.com/ulid/spec): 10 characters of time in
 * milliseconds, 16 of randomness, Crockford's base 32.
 *
 * A batch has a ULID whose last three characters are zeros; a request has its batch's with those three
 * replaced by its position. So the batch of a request follows from its id alone, and a request can be found
 * in the queue before any row of it exists.
 */
import { randomFillSync } from 'node:crypto';
import { z } from 'zod';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const TIME_LENGTH = 10;
const RANDOM_LENGTH = 13;
const POSITION_LENGTH = 3;
const FIRST_POSITION = '000';
const PREFIX = 'req_';
const PATTERN = /^req_[0-7][0-9a-hjkmnp-tv-z]{25}$/;

/** What a request id looks like, for the API's document. */
export const REQUEST_ID = z.string().regex(PATTERN);

/** Most requests that a batch has room for: three characters of five bits. */
export const MAX_POSITIONS = 32 ** POSITION_LENGTH;

/** A ULID whose last three characters are `000`. */
export type BatchId = string;

/**
 * Makes batch ids that rise within this process: of two made in the same millisecond (or after the clock was
 * set back) the later has the greater random part, so that ids sort in the order in which they were made.
 */
export function createBatchIds(clock: () => number = Date.now): () => BatchId {
  const nextRandom = randomDigits();
  let lastTime = -1;
  let time = '';
  let random: number[] = [];
  return () => {
    const now = clock();
    if (now > lastTime) {
      lastTime = now;
      time = encode(now, TIME_LENGTH);
      random = nextRandom();
    } else {
      increment(random);
    }
    let id = time;
    for (const digit of random) id += ALPHABET[digit];
    return id + FIRST_POSITION;
  };
}

/** Makes the random part of an id, and asks the system for randomness once for many: each call costs as much as all else. */
function randomDigits(): () => number[] {
  const pool = new Uint8Array(RANDOM_LENGTH * 256);
  let used = pool.length;
  return () => {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    const from = used;
    used += RANDOM_LENGTH;
    const digits: number[] = [];
    for (let i = from; i < used; i += 1) digits.push((pool[i] ?? 0) & 31);
    return digits;
  };
}

/** The id of the request at `position` (from 0) of a batch. */
export function requestIdAt(batchId: BatchId, position: number): string {
  return PREFIX + batchId.slice(0, -POSITION_LENGTH) + encode(position, POSITION_LENGTH);
}

/** Where a request is found: its batch and its position in it; undefined where `id` is no request id. */
export function locateRequest(id: string): { batchId: BatchId; position: number } | undefined {
  if (!PATTERN.test(id)) return undefined;
  const ulid = id.slice(PREFIX.length);
  return {
    batchId: ulid.slice(0, -POSITION_LENGTH) + FIRST_POSITION,
    position: decode(ulid.slice(-POSITION_LENGTH)),
  };
}

/** When a batch got its id: milliseconds since 1970 on the clock of the machine that made it. */
export function batchTime(id: BatchId): number {
  return decode(id.slice(0, TIME_LENGTH));
}

function encode(value: number, length: number): string {
  let rest = value;
  let text = '';
  for (let i = 0; i < length; i += 1) {
    text = (ALPHABET[rest % 32] ?? '') + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

function decode(digits: string): number {
  let value = 0;
  for (const digit of digits) value = value * 32 + ALPHABET.indexOf(digit);
  return value;
}

function increment(digits: number[]): void {
  for (let i = digits.length - 1; i >= 0; i -= 1) {
    const digit = digits[i] ?? 0;
    if (digit < 31) {
      digits[i] = digit + 1;
      return;
    }
    digits[i] = 0;
  }
}
