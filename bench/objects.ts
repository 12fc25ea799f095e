/**
 * The objects that are written: two kinds, the same bytes whoever makes them (wrk's script, the paced client, a
 * file, or SQL that fills a table).
 *
 * An object is `{"id": …, "n": …, REST}`. Its id follows from a key, a number from 0; `n` tells one write from all
 * others of a run. REST is the same for all, which changes nothing for Postgres: it packs each row for itself.
 */

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';

export type ObjectKind = 'profile' | 'document';

/** What is written: `count` objects with the keys and the `n` from these on. */
export interface Writes {
  readonly kind: ObjectKind;
  readonly firstKey: number;
  readonly firstN: number;
}

/**
 * The golden ratio in 32 bits (Knuth, multiplicative hashing). Being odd, it makes another number of each key; ids
 * that follow one another in time lie far apart in the index, as random ids do.
 */
const SCATTER = 2_654_435_761;

/** All numbers of measured writes have ten digits, so that all requests of a kind have the same length. */
export const FIRST_N = 1_000_000_000;
/** How far the numbers of two measurements are apart, which is more than either writes. */
export const N_STEP = 5_000_000;

/** The id of a key, a number from 0 to 2^32 - 1. */
export function idOf(key: number): string {
  return `user_${(Math.imul(key, SCATTER) >>> 0).toString(16).padStart(8, '0')}`;
}

/** {@link idOf} as an SQL expression. @param key an expression of type bigint */
export function idSql(key: string): string {
  return `'user_' || lpad(to_hex(((${key}) * ${SCATTER}) % 4294967296), 8, '0')`;
}

/** The members that all objects of a kind have beside `id` and `n`, as JSON text without braces. */
export function restOf(kind: ObjectKind): string {
  return kind === 'profile' ? PROFILE : DOCUMENT;
}

/** The JSON text of an object. */
export function objectText(kind: ObjectKind, key: number, n: number): string {
  return `{"id":"${idOf(key)}","n":${n},${restOf(kind)}}`;
}

/** Bytes of an object with an `n` of ten digits. */
export function objectBytes(kind: ObjectKind): number {
  return Buffer.byteLength(objectText(kind, 0, FIRST_N));
}

/** Writes a file with an object on each line. @returns its bytes */
export async function writeObjectFile(file: string, writes: Writes, count: number): Promise<number> {
  const stream = createWriteStream(file);
  const done = finished(stream);
  for (let from = 0; from < count; from += LINES_AT_ONCE) {
    let text = '';
    for (let i = from; i < Math.min(from + LINES_AT_ONCE, count); i += 1)
      text += `${objectText(writes.kind, writes.firstKey + i, writes.firstN + i)}\n`;
    if (!stream.write(text)) await once(stream, 'drain');
  }
  stream.end();
  await done;
  return stream.bytesWritten;
}

const LINES_AT_ONCE = 500;

/** About 450 bytes with id and number, like a user's profile. */
const PROFILE =
  '"name":"Ada Lovelace","email":"ada.lovelace@example.com","age":36,"balance":1234.50,"active":true,' +
  '"tags":["early","engineer","newsletter"],"address":{"street":"12 St James\'s Square","city":"London",' +
  '"postcode":"SW1Y 4JH","country":"GB"},"preferences":{"language":"en","theme":"dark","emails":{"weekly":true,' +
  '"product":false}},"last_seen":"2026-01-01T00:00:00Z","plan":"team","notes":"Prefers to be called in the morning."';

const WORDS = [
  ...['chair', 'table', 'lamp', 'shelf', 'carpet', 'mirror', 'cushion', 'vase', 'drawer', 'cabinet', 'bench'],
  ...['oak', 'walnut', 'steel', 'linen', 'marble', 'glass', 'cotton', 'copper', 'leather', 'bamboo', 'slate'],
];

/** About 5 kB, like an order with many lines. */
const DOCUMENT = JSON.stringify({
  customer: { name: 'Ada Lovelace', email: 'ada.lovelace@example.com', since: '2019-04-01' },
  status: 'shipped',
  lines: Array.from({ length: 31 }, (_, i) => orderLine(i)),
  notes: 'Please ring twice; the bell of the side entrance has been out of order since last winter.',
}).slice(1, -1);

function orderLine(i: number): object {
  // Any numbers that don't repeat: Postgres packs rows of this size, and should not find them all alike.
  const noise = (of: number): number => Math.imul(i * 7 + of, SCATTER) >>> 0;
  return {
    sku: noise(1).toString(36),
    title: `${WORDS[noise(2) % WORDS.length]} ${WORDS[noise(3) % WORDS.length]} ${noise(4) % 500}`,
    quantity: (noise(5) % 9) + 1,
    price: (noise(6) % 100_000) / 100,
    tax: { rate: 0.19, amount: (noise(7) % 10_000) / 100 },
    warehouse: noise(0).toString(16),
    delivered: i % 3 === 0 ? null : `2026-0${(i % 9) + 1}-1${i % 10}`,
  };
}
