/** The content encodings that are served, as streams that decode them. */
import { Duplex } from 'node:stream';
import * as zlib from 'node:zlib';
import { beginningOf } from '../domain/storable.ts';
import { ProblemError } from '../errors.ts';

type CreateDecoder = (options: { readonly chunkSize: number }) => Duplex;

/** Node has zstd from 22.15 and 23.8 on; the types are those of Node 20. */
const { createZstdDecompress, constants } = zlib as unknown as {
  createZstdDecompress?: (options: { chunkSize: number; params: Record<number, number> }) => Duplex;
  constants: { readonly ZSTD_d_windowLogMax?: number };
};

/** A window of 8 MiB is the most that the encoding may ask for over HTTP (RFC 9659); the library would allow 128 MiB. */
const ZSTD_WINDOW_LOG = 23;

const DECODERS: ReadonlyMap<string, CreateDecoder> = new Map([
  ['gzip', zlib.createGunzip],
  ['x-gzip', zlib.createGunzip],
  ['deflate', ({ chunkSize }) => new InflateEither(chunkSize)],
  ['br', zlib.createBrotliDecompress],
  ...zstdDecoder(),
]);

function zstdDecoder(): (readonly [string, CreateDecoder])[] {
  const windowLogMax = constants.ZSTD_d_windowLogMax;
  if (!createZstdDecompress || windowLogMax === undefined) return [];
  const params = { [windowLogMax]: ZSTD_WINDOW_LOG };
  return [['zstd', ({ chunkSize }) => createZstdDecompress({ chunkSize, params })]];
}

/** The values of `Content-Encoding` that clients are told of: `x-gzip` is an old name of gzip. */
export const SERVED_ENCODINGS = [...DECODERS.keys()].filter((name) => name !== 'x-gzip');

/**
 * The name of a `Content-Encoding` header; undefined where the body is not compressed.
 * @throws ProblemError 415 where it isn't served
 */
export function encodingName(header: string | undefined): string | undefined {
  const name = header?.trim().toLowerCase();
  if (!name || name === 'identity') return undefined;
  if (DECODERS.has(name)) return name;
  const served = SERVED_ENCODINGS.join(', ');
  throw new ProblemError(
    'unsupported_media_type',
    `Content-Encoding "${beginningOf(name, 100)}" is not served: send one of ${served}, or none`,
    { headers: { 'accept-encoding': served } },
  );
}

/**
 * Makes a stream that takes compressed bytes and gives what they decompress to. Whatever is wrong with them destroys
 * it with an error, see {@link notValid}.
 * @param name as from {@link encodingName}
 * @param chunkSize bytes that are decompressed at once
 */
export function createDecoder(name: string, chunkSize: number): Duplex {
  const create = DECODERS.get(name);
  if (!create) throw new Error(`no decoder for ${name}`);
  return create({ chunkSize });
}

/** What a client is told of a decoder's error. */
export function notValid(name: string, cause: unknown): ProblemError {
  return new ProblemError('invalid_request', `the body is not valid ${name}`, { cause });
}

/** "deflate" means a zlib stream, but a raw one is sent often enough. The first byte tells them apart. */
class InflateEither extends Duplex {
  readonly #chunkSize: number;
  #inflate: Duplex | undefined;

  constructor(chunkSize: number) {
    super({ readableHighWaterMark: chunkSize });
    this.#chunkSize = chunkSize;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#inflate ??= this.#open(chunk);
    this.#inflate.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.#inflate ??= this.#open(Buffer.alloc(0));
    this.#inflate.end();
    done();
  }

  override _read(): void {
    this.#inflate?.resume();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#inflate?.destroy();
    done(error);
  }

  #open(first: Buffer): Duplex {
    const isZlib = ((first[0] ?? 0) & 0x0f) === 8;
    const inflate = (isZlib ? zlib.createInflate : zlib.createInflateRaw)({ chunkSize: this.#chunkSize });
    inflate.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) inflate.pause();
    });
    inflate.on('end', () => this.push(null));
    inflate.on('error', (error) => this.destroy(error));
    return inflate;
  }
}
