/**
 * Request bodies as text: taken in as bytes within the limits, checked to be UTF-8. Fastify's own JSON parser is not
 * used: it would turn broken UTF-8 into U+FFFD, refuse members named `__proto__`, and throw the text away.
 */
import { isUtf8 } from 'node:buffer';
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ByteBudget } from '../domain/byte-budget.ts';
import type { Pieces } from '../domain/pieces.ts';
import { beginningOf } from '../domain/storable.ts';
import { ProblemError } from '../errors.ts';
import type { BodyWatch } from './body-watch.ts';
import { encodingName } from './decoders.ts';
import { Decompressor } from './decompress.ts';
import { takeIn } from './incoming-body.ts';

const JSON_TYPE = /^application\/json\s*(?:;\s*charset="?utf-?8"?\s*)?$/i;

/** Makes `request.body` the stream of `application/json` bodies; all other media types get 415. */
export function acceptJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', (_request, payload, done) => done(null, payload));
}

/** Reads the bodies of all routes that take JSON, within one budget of memory. */
export class BodyReader {
  readonly #budget: ByteBudget;
  readonly #watch: BodyWatch;
  readonly #limit: number;
  readonly #decompressor = new Decompressor();

  /** @param limit most bytes of one body, after decompression */
  constructor(budget: ByteBudget, watch: BodyWatch, limit: number) {
    this.#budget = budget;
    this.#watch = watch;
    this.#limit = limit;
  }

  /**
   * Reads a body, and counts it as held until `use` has ended.
   * @param use gets its text, without byte order mark; empty where there is no body
   * @param most where the route takes less than other routes, in bytes
   * @returns what `use` returns
   * @throws ProblemError 400, 408, 413, 415 or 503; BodyBrokenError; whatever `use` throws
   */
  async withText<T>(
    request: Pick<FastifyRequest, 'body' | 'headers' | 'bodyBytes'>,
    use: (text: string) => T | Promise<T>,
    most = this.#limit,
  ): Promise<T> {
    const { body, headers } = request;
    // A request without a body, or without a content type, gets here without one.
    if (!(body instanceof Readable)) return use('');
    const type = headers['content-type'] ?? '';
    if (!JSON_TYPE.test(type)) {
      throw new ProblemError(
        'unsupported_media_type',
        `the body must be UTF-8, and this is ${beginningOf(type, 100)}`,
      );
    }
    const encoding = encodingName(headers['content-encoding']);
    const limit = Math.min(most, this.#limit);
    const share = this.#budget.open();
    try {
      const announced = Number(headers['content-length']);
      const isCompressed = encoding !== undefined;
      const came = await takeIn(body, { announced, limit, isCompressed, share, watch: this.#watch });
      request.bodyBytes = came.length;
      const bytes =
        encoding === undefined ? came : await this.#decompressor.run(came, encoding, limit, share);
      return await use(textOf(bytes));
    } finally {
      share.release();
    }
  }
}

/** @param bytes are cleared */
function textOf(bytes: Pieces): string {
  const all = bytes.join();
  const text = isUtf8(all) ? all.toString('utf8') : undefined;
  bytes.clear();
  if (text === undefined) throw new ProblemError('invalid_request', 'the body is not valid UTF-8');
  return text.startsWith('\uFEFF') ? text.slice(1) : text;
}
