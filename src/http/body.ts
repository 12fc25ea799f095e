/**
 * Request bodies as text: taken as bytes, decompressed within the limit, checked to be UTF-8. Fastify's own
 * JSON parser is not used: it would turn broken UTF-8 into U+FFFD, refuse members named `__proto__`, and
 * throw the text away.
 */
import { isUtf8 } from 'node:buffer';
import { promisify } from 'node:util';
import type { ZlibOptions } from 'node:zlib';
import * as zlib from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { ProblemError } from '../errors.ts';

type Decompress = (body: Buffer, options: ZlibOptions) => Promise<Buffer>;

const gunzip: Decompress = promisify(zlib.gunzip);
const inflate: Decompress = promisify(zlib.inflate);
const inflateRaw: Decompress = promisify(zlib.inflateRaw);

/** "deflate" means a zlib stream, but a raw one is sent often enough. The first byte tells them apart. */
export function isZlib(body: Buffer): boolean {
  return ((body[0] ?? 0) & 0x0f) === 8;
}

const inflateEither: Decompress = (body, options) =>
  isZlib(body) ? inflate(body, options) : inflateRaw(body, options);

/** Node has zstd from 22.15 and 23.8 on. */
const zstd = 'zstdDecompress' in zlib ? promisify(zlib.zstdDecompress as typeof zlib.gunzip) : undefined;

const DECOMPRESSORS: ReadonlyMap<string, Decompress> = new Map([
  ['gzip', gunzip],
  ['x-gzip', gunzip],
  ['deflate', inflateEither],
  ['br', promisify(zlib.brotliDecompress) as Decompress],
  ...(zstd ? [['zstd', zstd as Decompress] as const] : []),
]);

/** The values of `Content-Encoding` that bodies may have. */
export const BODY_ENCODINGS = servedEncodings(DECOMPRESSORS);

const JSON_TYPE = /^application\/json\s*(?:;\s*charset="?utf-?8"?\s*)?$/i;

/** Makes `request.body` the raw bytes of `application/json` bodies; all other media types get 415. */
export function acceptJsonBytes(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    request.bodyBytes = body.length;
    const type = request.headers['content-type'] ?? '';
    if (JSON_TYPE.test(type)) done(null, body);
    else done(new ProblemError('unsupported_media_type', `the body must be UTF-8, and this is ${type}`));
  });
}

/**
 * Decodes a body.
 * @param body the bytes as they came
 * @param encoding the `Content-Encoding` header
 * @param limit most bytes after decompression
 * @throws ProblemError 400, 413 or 415
 */
export async function bodyText(body: unknown, encoding: string | undefined, limit: number): Promise<string> {
  // A request without a body, or without a content type, gets here without one.
  if (!Buffer.isBuffer(body)) return '';
  const bytes = await decompress(body, encoding, limit);
  if (!isUtf8(bytes)) throw new ProblemError('invalid_request', 'the body is not valid UTF-8');
  const text = bytes.toString('utf8');
  return text.startsWith('\uFEFF') ? text.slice(1) : text;
}

/**
 * The name of a `Content-Encoding` header; undefined where the body is not compressed.
 * @param known those that are served, by name
 * @throws ProblemError 415 where it isn't among them
 */
export function encodingName(
  header: string | undefined,
  known: ReadonlyMap<string, unknown>,
): string | undefined {
  const name = header?.trim().toLowerCase();
  if (!name || name === 'identity') return undefined;
  if (known.has(name)) return name;
  const served = servedEncodings(known);
  throw new ProblemError(
    'unsupported_media_type',
    `Content-Encoding "${name}" is not served: send one of ${served.join(', ')}, or none`,
    { headers: { 'accept-encoding': served.join(', ') } },
  );
}

/** The names that clients are told of: `x-gzip` is an old one of gzip. */
export function servedEncodings(known: ReadonlyMap<string, unknown>): readonly string[] {
  return [...known.keys()].filter((name) => name !== 'x-gzip');
}

async function decompress(body: Buffer, encoding: string | undefined, limit: number): Promise<Buffer> {
  const name = encodingName(encoding, DECOMPRESSORS);
  const run = name === undefined ? undefined : DECOMPRESSORS.get(name);
  if (!run) return body;
  try {
    return await run(body, { maxOutputLength: limit });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
      throw new ProblemError('too_large', `the body is larger than ${limit} bytes after decompression`);
    }
    throw new ProblemError('invalid_request', `the body is not valid ${name}`, { cause });
  }
}
