/** Decompresses bodies that have arrived as a whole: so no slow sender holds a decoder, and few are in use at one time. */
import { Readable } from 'node:stream';
import type { Share } from '../domain/byte-budget.ts';
import { Pieces } from '../domain/pieces.ts';
import { Turns } from '../domain/turns.ts';
import { createDecoder, notValid } from './decoders.ts';
import { noRoom, tooLarge } from './incoming-body.ts';

/** Bytes that go into a decoder, and that come out of it, at once. */
const FEED_BYTES = 64 * 1024;
const CHUNK_BYTES = 16 * 1024;

/**
 * Most bodies that are decompressed at one time, as many as Node has threads for it: more would not be faster, and
 * each decoder for brotli or zstd holds up to 16 MB more than what it has given out.
 */
const AT_ONCE = 4;

/** Longest wait for one of those, in milliseconds: a client is answered within five seconds, and it isn't all. */
const WAIT_MS = 2_000;

export class Decompressor {
  readonly #turns = new Turns(AT_ONCE);

  /**
   * Decompresses a body.
   * @param body is cleared
   * @param encoding as from `encodingName`
   * @param limit most bytes that may come out; where there are more it stops there, and not after all of them
   * @param share is raised to what has come out
   * @throws ProblemError 400, 413 or 503
   */
  async run(body: Pieces, encoding: string, limit: number, share: Share): Promise<Pieces> {
    try {
      return await this.#turns.take(() => decompressed(body.join(), encoding, limit, share), {
        ms: WAIT_MS,
        tooLate: noRoom,
      });
    } finally {
      body.clear();
    }
  }
}

function decompressed(body: Buffer, encoding: string, limit: number, share: Share): Promise<Pieces> {
  return new Promise((resolve, reject) => {
    const pieces = new Pieces(limit);
    const decoder = createDecoder(encoding, CHUNK_BYTES);
    const fail = (error: Error): void => {
      decoder.destroy();
      pieces.clear();
      reject(error);
    };
    decoder.on('data', (chunk: Buffer) => {
      if (decoder.destroyed) return;
      const length = pieces.length + chunk.length;
      if (length > limit) fail(tooLarge(limit, ' after decompression'));
      else if (!share.raiseTo(length)) fail(noRoom());
      else pieces.push(chunk);
    });
    decoder.on('end', () => resolve(pieces));
    decoder.on('error', (cause) => fail(notValid(encoding, cause)));
    Readable.from(copies(body)).pipe(decoder);
  });
}

/** In copies: a thread may be at work on the last one when the body's memory is given back. */
function* copies(body: Buffer): Generator<Buffer> {
  for (let start = 0; start < body.length; start += FEED_BYTES) {
    yield Buffer.from(body.subarray(start, start + FEED_BYTES));
  }
}
