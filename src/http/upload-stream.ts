/** The body of an upload as a stream: of any length, decompressed as it comes, given up where nothing comes. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { PassThrough, pipeline, Readable } from 'node:stream';
import * as zlib from 'node:zlib';
import { ProblemError } from '../errors.ts';
import { encodingName, isZlib, servedEncodings } from './body.ts';

/** The client has gone before all of its file was there; nobody is left to be told. */
export class UploadBrokenError extends Error {
  override readonly name = 'UploadBrokenError';
}

type Decode = (bytes: Readable) => AsyncIterable<Buffer>;

/** Bytes that are read or decompressed at once. */
const CHUNK_BYTES = 64 * 1024;

const through =
  (create: (options: { chunkSize: number }) => Duplex): Decode =>
  (bytes) =>
    // Its callback is told of errors, and so is who reads the stream.
    pipeline(bytes, create({ chunkSize: CHUNK_BYTES }), () => undefined);

/** Node has zstd from 22.15 and 23.8 on; the types are those of Node 20. */
const { createZstdDecompress } = zlib as unknown as {
  createZstdDecompress?: (options: { chunkSize: number }) => Duplex;
};

const DECODERS: ReadonlyMap<string, Decode> = new Map([
  ['gzip', through(zlib.createGunzip)],
  ['x-gzip', through(zlib.createGunzip)],
  ['deflate', inflateEither],
  ['br', through(zlib.createBrotliDecompress)],
  ...(createZstdDecompress ? [['zstd', through(createZstdDecompress)] as const] : []),
]);

/** The values of `Content-Encoding` that uploads may have. */
export const UPLOAD_ENCODINGS = servedEncodings(DECODERS);

/**
 * Makes what opens an upload's body.
 * @param encoding the `Content-Encoding` header
 * @param idleMs longest time without a byte, in milliseconds; time in which the server doesn't want any doesn't count
 * @param onBytes told how many bytes have come, before decompression
 * @returns the file, whose reading throws ProblemError 400 or 408, or the reason of `signal` once that is aborted
 * @throws ProblemError 415 where the encoding isn't served
 */
export function uploadStream(
  body: IncomingMessage,
  encoding: string | undefined,
  idleMs: number,
  onBytes: (count: number) => void = () => undefined,
): (signal: AbortSignal) => AsyncIterable<Buffer> {
  const name = encodingName(encoding, DECODERS);
  const decode = name === undefined ? undefined : DECODERS.get(name);
  return (signal) => {
    const bytes = bytesOf(body, idleMs, signal, onBytes);
    return decode ? decoded(decode(bytes), name) : bytes;
  };
}

/**
 * The bytes in a stream of our own: what goes wrong with it leaves the connection open, over which the client is
 * to be told.
 */
function bytesOf(
  body: IncomingMessage,
  idleMs: number,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Readable {
  const bytes = new PassThrough({ highWaterMark: CHUNK_BYTES });
  const onAbort = (): void => {
    bytes.destroy(signal.reason as Error);
  };
  const timer = setTimeout(() => {
    if (body.isPaused() || bytes.writableNeedDrain) timer.refresh();
    else bytes.destroy(new ProblemError('request_timeout', `nothing has come for ${idleMs / 1_000} seconds`));
  }, idleMs);
  const onData = (chunk: Buffer): void => {
    timer.refresh();
    onBytes(chunk.length);
  };
  signal.addEventListener('abort', onAbort);
  bytes.once('close', () => {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    body.off('data', onData);
  });
  if (signal.aborted) onAbort();
  else body.on('data', onData).pipe(bytes);
  return bytes;
}

async function* decoded(file: AsyncIterable<Buffer>, name: string | undefined): AsyncGenerator<Buffer> {
  try {
    yield* file;
  } catch (error) {
    if (error instanceof ProblemError || error instanceof UploadBrokenError) throw error;
    throw new ProblemError('invalid_request', `the body is not valid ${name}`, { cause: error });
  }
}

function inflateEither(bytes: Readable): AsyncIterable<Buffer> {
  return afterFirst(bytes, (first, all) =>
    through(isZlib(first) ? zlib.createInflate : zlib.createInflateRaw)(all),
  );
}

/** Looks at the first bytes of a stream before it is decided how to read it. */
async function* afterFirst(
  bytes: Readable,
  read: (first: Buffer, all: Readable) => AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  const iterator: AsyncIterator<Buffer> = bytes[Symbol.asyncIterator]();
  const { value: first = Buffer.alloc(0) } = await iterator.next();
  const all = async function* (): AsyncGenerator<Buffer> {
    yield first;
    yield* { [Symbol.asyncIterator]: () => iterator };
  };
  yield* read(first, Readable.from(all()));
}
