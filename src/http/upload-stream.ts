/** The body of an upload as a stream: of any length, decompressed as it comes, given up where nothing comes. */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { PassThrough, pipeline } from 'node:stream';
import { ProblemError } from '../errors.ts';
import { createDecoder, encodingName, notValid } from './decoders.ts';
import { BodyBrokenError } from './incoming-body.ts';

/** Bytes that are read or decompressed at once. */
const CHUNK_BYTES = 64 * 1024;

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
  const name = encodingName(encoding);
  return (signal) => {
    const bytes = bytesOf(body, idleMs, signal, onBytes);
    return name === undefined ? bytes : decoded(bytes, name);
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

async function* decoded(bytes: Readable, name: string): AsyncGenerator<Buffer> {
  // Its callback is told of errors, and so is who reads the stream.
  const file: AsyncIterable<Buffer> = pipeline(bytes, createDecoder(name, CHUNK_BYTES), () => undefined);
  try {
    yield* file;
  } catch (error) {
    if (error instanceof ProblemError || error instanceof BodyBrokenError) throw error;
    throw notValid(name, error);
  }
}
