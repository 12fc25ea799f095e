import { randomBytes } from 'node:crypto';
import { PassThrough, Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import * as zlib from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { ByteBudget } from '../../src/domain/byte-budget.ts';
import { PROBLEMS, ProblemError } from '../../src/errors.ts';
import { BodyReader } from '../../src/http/body.ts';
import { BodyWatch } from '../../src/http/body-watch.ts';
import { BodyBrokenError } from '../../src/http/incoming-body.ts';
import { HTTP_LIMITS } from '../../src/http/limits.ts';

const LIMIT = 100_000;
const TEXT = '{"data":{"id":"a","s":"é漢😀"}}';

type Compress = (text: string | Buffer) => Buffer;

/** Node has zstd from 22.15 and 23.8 on; the types are those of Node 20. */
const { zstdCompressSync } = zlib as unknown as { zstdCompressSync: Compress | undefined };

const ENCODINGS: readonly (readonly [name: string, encoding: string, compress: Compress])[] = [
  ['gzip', 'gzip', zlib.gzipSync],
  ['gzip by its older name', 'x-gzip', zlib.gzipSync],
  ['deflate', 'deflate', zlib.deflateSync],
  ['deflate without compression', 'deflate', (text) => zlib.deflateSync(text, { level: 0 })],
  ['raw deflate', 'deflate', zlib.deflateRawSync],
  ['raw deflate without compression', 'deflate', (text) => zlib.deflateRawSync(text, { level: 0 })],
  ['brotli', 'br', zlib.brotliCompressSync],
  ...(zstdCompressSync ? [['zstd', 'zstd', zstdCompressSync] as const] : []),
];

const watch = new BodyWatch(HTTP_LIMITS);
afterAll(() => watch.close());

interface ReadOptions {
  readonly encoding?: string | undefined;
  readonly announced?: number;
  readonly limit?: number;
  readonly budget?: ByteBudget;
}

/** Reads a body as routes do it, and holds it until `use` is over. */
function read<T>(
  body: unknown,
  { encoding, announced, limit = LIMIT, budget = new ByteBudget(limit) }: ReadOptions,
  use: (text: string) => T | Promise<T>,
): Promise<T> {
  const headers = {
    'content-type': 'application/json',
    ...(encoding === undefined ? {} : { 'content-encoding': encoding }),
    ...(announced === undefined ? {} : { 'content-length': String(announced) }),
  };
  return new BodyReader(budget, watch, limit).withText({ body, headers, bodyBytes: undefined }, use);
}

/** A body that comes in pieces of so many bytes. */
function inPieces(body: Buffer, bytes: number): Readable {
  const count = Math.ceil(body.length / bytes);
  return Readable.from(Array.from({ length: count }, (_, i) => body.subarray(i * bytes, (i + 1) * bytes)));
}

/** @param body bytes, which come in pieces, or none */
function bodyText(body: unknown, encoding: string | undefined, limit: number): Promise<string> {
  return read(Buffer.isBuffer(body) ? inPieces(body, 700) : body, { encoding, limit }, (text) => text);
}

/** The error that a body is refused with. */
async function refused(body: unknown, encoding?: string, limit = LIMIT): Promise<ProblemError> {
  const outcome = await bodyText(body, encoding, limit).catch((error: unknown) => error);
  if (outcome instanceof ProblemError) return outcome;
  throw new Error(`expected a ProblemError, and this is ${String(outcome)}`);
}

async function statusOf(body: unknown, encoding?: string, limit = LIMIT): Promise<number> {
  return PROBLEMS[(await refused(body, encoding, limit)).code].status;
}

describe('a body without compression', () => {
  it.each([undefined, '', ' ', 'identity', 'Identity '])(
    'is read as it is with encoding %j',
    async (encoding) => {
      expect(await bodyText(Buffer.from(TEXT), encoding, LIMIT)).toBe(TEXT);
    },
  );

  it('is empty where there is none', async () => {
    for (const body of [undefined, null, Buffer.alloc(0)]) {
      expect(await bodyText(body, undefined, LIMIT)).toBe('');
    }
  });

  it('keeps every character, also those that decoders like to change', async () => {
    const text = '\u0000\r\n\u2028\ufffd\ufffe 👩‍👧 e\u0301 é';
    expect(await bodyText(Buffer.from(text), undefined, LIMIT)).toBe(text);
  });

  it('loses one byte order mark at its beginning, and no other', async () => {
    expect(await bodyText(Buffer.from(`\uFEFF${TEXT}`), undefined, LIMIT)).toBe(TEXT);
    expect(await bodyText(Buffer.from('"\uFEFF"'), undefined, LIMIT)).toBe('"\uFEFF"');
    expect(await bodyText(zlib.gzipSync(`\uFEFF${TEXT}`), 'gzip', LIMIT)).toBe(TEXT);
  });

  it.each([
    ['a lone byte above 127', [0x22, 0xff, 0x22]],
    ['Latin-1', [0x22, 0xe9, 0x22]],
    ['a character that is cut off', [0x22, 0xf0, 0x9f, 0x98]],
    ['a continuation without a beginning', [0x80]],
    ['an overlong form', [0xc0, 0x80]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['a pair of surrogates (CESU-8)', [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]],
    ['a code point above U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
    ['UTF-16 with its byte order mark', [0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]],
  ])('gets 400 where it is not UTF-8: %s', async (_, bytes) => {
    expect(await statusOf(Buffer.from(bytes))).toBe(400);
    expect(await statusOf(zlib.gzipSync(Buffer.from(bytes)), 'gzip')).toBe(400);
  });
});

describe.each(ENCODINGS)('a body in %s', (_, encoding, compress) => {
  it('is decompressed', async () => {
    expect(await bodyText(compress(TEXT), encoding, LIMIT)).toBe(TEXT);
    expect(await bodyText(compress(TEXT), ` ${encoding.toUpperCase()} `, LIMIT)).toBe(TEXT);
  });

  it('may hold nothing', async () => {
    expect(await bodyText(compress(''), encoding, LIMIT)).toBe('');
  });

  it('may be as large as the limit, and gets 413 when it is larger', async () => {
    const text = 'é'.repeat(LIMIT / 2);
    expect(await bodyText(compress(text), encoding, LIMIT)).toBe(text);
    expect(await statusOf(compress(`${text}.`), encoding)).toBe(413);
    expect((await refused(compress(`${text}.`), encoding)).message).toContain(String(LIMIT));
  });

  it('gets 413 where it is a bomb', async () => {
    const bomb = compress(Buffer.alloc(10 * LIMIT));
    expect(await statusOf(bomb, encoding)).toBe(413);
    expect(await statusOf(bomb, encoding, 1)).toBe(413);
  });

  it('is decompressed no further than the limit, so what is broken behind that is not seen', async () => {
    const whole = compress(randomBytes(4 * LIMIT));
    const broken = whole.subarray(0, whole.length >> 1);
    expect(await statusOf(broken, encoding)).toBe(413);
    expect(await statusOf(broken, encoding, 20 * LIMIT)).toBe(400);
  });

  it('gets 400 where it is cut off', async () => {
    const whole = compress(TEXT.repeat(100));
    expect(await statusOf(whole.subarray(0, whole.length >> 1), encoding)).toBe(400);
    expect(await statusOf(whole.subarray(0, 1), encoding)).toBe(400);
    expect(await statusOf(Buffer.alloc(0), encoding)).toBe(400);
  });

  it('gets 400 where it is not compressed at all', async () => {
    const problem = await refused(Buffer.from(TEXT), encoding);
    expect(PROBLEMS[problem.code].status).toBe(400);
    expect(problem.message).toContain(encoding);
  });
});

describe('a body with checksums', () => {
  it.each([
    ['gzip', zlib.gzipSync],
    ['deflate', zlib.deflateSync],
  ] as const)('gets 400 where a bit has flipped in its %s', async (encoding, compress) => {
    // Stored, not compressed: the stream itself stays well-formed, only the checksum tells.
    const whole = compress(TEXT, { level: 0 });
    const at = whole.indexOf('"a"') + 1;
    whole[at] = (whole[at] ?? 0) ^ 1;
    expect(await statusOf(whole, encoding)).toBe(400);
  });

  it('may be gzip of several members', async () => {
    const body = Buffer.concat([zlib.gzipSync('{"data":'), zlib.gzipSync('{"id":"a"}}')]);
    expect(await bodyText(body, 'gzip', LIMIT)).toBe('{"data":{"id":"a"}}');
  });
});

describe('an encoding that is not served', () => {
  it.each(['compress', 'gzip, br', 'gzip,gzip', 'utf-8', '*', 'x', 'toString', 'constructor', '__proto__'])(
    'gets 415: %s',
    async (encoding) => {
      expect(await statusOf(Buffer.from(TEXT), encoding)).toBe(415);
    },
  );

  it('is answered with those that are, each of which works', async () => {
    const { headers, message } = await refused(Buffer.from(TEXT), 'compress');
    const served = headers['accept-encoding']?.split(', ') ?? [];
    expect(served).toEqual(['gzip', 'deflate', 'br', ...(zstdCompressSync ? ['zstd'] : [])]);
    for (const encoding of served) {
      expect(message).toContain(encoding);
      expect(ENCODINGS.map(([, known]) => known)).toContain(encoding);
    }
  });

  it.skipIf(zstdCompressSync)('is zstd where Node does not have it', async () => {
    expect(await statusOf(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), 'zstd')).toBe(415);
  });
});

describe('a bomb', () => {
  it.each(ENCODINGS)('never takes more memory than a body may: %s', async (_, encoding, compress) => {
    const bomb = compress(Buffer.alloc(20 * LIMIT));
    let most = 0;
    class WatchedBudget extends ByteBudget {
      override change(bytes: number): void {
        super.change(bytes);
        most = Math.max(most, this.held);
      }
    }
    const budget = new WatchedBudget(1_000 * LIMIT);
    await expect(read(inPieces(bomb, 10_000), { encoding, budget }, String)).rejects.toMatchObject({
      code: 'too_large',
    });
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(LIMIT);
    expect(budget.held).toBe(0);
  });
});

describe('a compressed body', () => {
  it.each(ENCODINGS)('may come a byte at a time: %s', async (_, encoding, compress) => {
    expect(await read(inPieces(compress(TEXT), 1), { encoding }, String)).toBe(TEXT);
  });

  it('waits its turn where many come at the same time', async () => {
    const bodies = Array.from({ length: 50 }, (_, i) => zlib.gzipSync(`${i}${TEXT.repeat(1_000)}`));
    const texts = await Promise.all(
      bodies.map((body) => read(inPieces(body, 10_000), { encoding: 'gzip' }, (text) => text.slice(0, 10))),
    );
    expect(texts).toEqual(bodies.map((_, i) => `${i}${TEXT}`.slice(0, 10)));
  });
});

describe('the memory for bodies', () => {
  it('holds a body from its first byte until its use has ended, however that ends', async () => {
    const budget = new ByteBudget(10);
    const body = new PassThrough();
    const used = read(body, { budget }, async (text) => {
      expect(budget.held).toBe(10);
      throw new Error(text);
    });
    body.write('12345');
    await delay(1);
    expect(budget.held).toBe(5);
    body.end('67890');
    await expect(used).rejects.toThrow('1234567890');
    expect(budget.held).toBe(0);
  });

  it('refuses a body as soon as it goes beyond, and gives back what there was of it', async () => {
    const budget = new ByteBudget(10);
    const first = new PassThrough();
    const second = new PassThrough();
    const firstText = read(first, { budget }, String);
    const secondText = read(second, { budget }, String);
    first.write('123456');
    await delay(1);
    second.write('12345');
    await expect(secondText).rejects.toMatchObject({ code: 'unavailable', headers: { 'retry-after': '1' } });
    expect(budget.held).toBe(6);
    first.end();
    expect(await firstText).toBe('123456');
    expect(budget.held).toBe(0);
  });

  it('does not count what is only announced', async () => {
    const budget = new ByteBudget(10);
    const slow = Array.from({ length: 100 }, () => new PassThrough());
    const waiting = slow.map((body) => read(body, { budget, announced: 10 }, String));
    expect(budget.held).toBe(0);
    expect(
      await read(inPieces(Buffer.from('1234567890'), 4), { budget, announced: 10 }, String),
    ).toHaveLength(10);
    for (const body of slow) body.destroy();
    for (const outcome of await Promise.allSettled(waiting)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(BodyBrokenError) });
    }
  });

  it('refuses at once what is announced as more than there is room for', async () => {
    const budget = new ByteBudget(10);
    const held = budget.open();
    held.raiseTo(5);
    const body = new PassThrough();
    await expect(read(body, { budget, announced: 6 }, String)).rejects.toMatchObject({ code: 'unavailable' });
    held.release();
    body.end('123456');
    expect(await read(body, { budget, announced: 6 }, String)).toBe('123456');
  });

  it('counts what has come of a compressed body, and then what comes out of it', async () => {
    const budget = new ByteBudget(200_000);
    const body = new PassThrough();
    const whole = zlib.gzipSync(Buffer.alloc(150_000, 'x'));
    const text = read(body, { encoding: 'gzip', limit: 150_000, budget }, async () => budget.held);
    body.write(whole.subarray(0, 100));
    await delay(1);
    expect(budget.held).toBe(100);
    body.end(whole.subarray(100));
    expect(await text).toBe(150_000);
    expect(budget.held).toBe(0);
  });

  it('refuses a compressed body as soon as what comes out goes beyond', async () => {
    const budget = new ByteBudget(LIMIT);
    const held = budget.open();
    held.raiseTo(1_000);
    const body = inPieces(zlib.gzipSync(Buffer.alloc(LIMIT, 'x')), 100);
    await expect(read(body, { encoding: 'gzip', budget }, String)).rejects.toMatchObject({
      code: 'unavailable',
    });
    expect(budget.held).toBe(1_000);
  });

  it('is given back where the client has gone', async () => {
    const budget = new ByteBudget(10);
    const body = new PassThrough();
    const text = read(body, { budget }, String);
    body.write('12345');
    await delay(1);
    body.destroy();
    await expect(text).rejects.toThrow(BodyBrokenError);
    expect(budget.held).toBe(0);
    await expect(read(body, { budget }, String)).rejects.toThrow(BodyBrokenError);
  });
});
