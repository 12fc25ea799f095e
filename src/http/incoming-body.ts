/** Takes in one body as it comes over the wire: counts what is held of it, and stops at the limits. */
import type { Readable } from 'node:stream';
import type { Share } from '../domain/byte-budget.ts';
import { Pieces } from '../domain/pieces.ts';
import { ProblemError } from '../errors.ts';
import type { BodyWatch, WatchedBody } from './body-watch.ts';

/** The client has gone before all of its body was there; nobody is left to be told. */
export class BodyBrokenError extends Error {
  override readonly name = 'BodyBrokenError';
}

/** How much larger than its content a compressed body may be, in bytes. */
const COMPRESSED_EXTRA_BYTES = 64 * 1024;

export interface BodyOptions {
  /** What the `Content-Length` header says; NaN where there is none. */
  readonly announced: number;
  /** Most bytes of its content. */
  readonly limit: number;
  /** Whether it comes compressed: what can't be compressed grows a little by that, which is allowed for. */
  readonly isCompressed: boolean;
  /** The body's share of the memory for bodies. Giving it back is left to the caller. */
  readonly share: Share;
  readonly watch: Pick<BodyWatch, 'add' | 'remove'>;
}

/**
 * Takes in a body.
 * @param body is left open whatever is wrong with it, because the client is to be told over the same connection
 * @returns its bytes, to be cleared when they have been read
 * @throws ProblemError 408, 413 or 503; BodyBrokenError
 */
export function takeIn(body: Readable, options: BodyOptions): Promise<Pieces> {
  return new Promise((resolve, reject) => {
    new IncomingBody(body, options, resolve, reject).start();
  });
}

/** What is beyond a limit. */
export function tooLarge(limit: number, when = ''): ProblemError {
  return new ProblemError('too_large', `the body is larger than ${limit} bytes${when}`);
}

/** What there is no memory for. */
export function noRoom(): ProblemError {
  return new ProblemError(
    'unavailable',
    'more bodies are being taken in than there is memory for (INLET_BODY_MEMORY): try again',
    { reason: 'body_memory', headers: { 'retry-after': '1' } },
  );
}

class IncomingBody implements WatchedBody {
  readonly #body: Readable;
  readonly #options: BodyOptions;
  readonly #resolve: (pieces: Pieces) => void;
  readonly #reject: (error: Error) => void;
  readonly #pieces: Pieces;
  #settled = false;

  constructor(
    body: Readable,
    options: BodyOptions,
    resolve: (pieces: Pieces) => void,
    reject: (error: Error) => void,
  ) {
    this.#body = body;
    this.#options = options;
    this.#pieces = new Pieces(mostThatComes(options));
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get received(): number {
    return this.#pieces.length;
  }

  start(): void {
    const refusal = this.#refusal();
    if (refusal) {
      this.#reject(refusal);
      return;
    }
    this.#options.watch.add(this);
    this.#body.on('data', this.#onData).on('end', this.#onEnd);
    this.#body.on('error', this.#onBroken).on('close', this.#onBroken);
  }

  giveUp(error: Error): void {
    if (this.#settled) return;
    this.#settle();
    this.#pieces.clear();
    // What still comes is left to whoever sends the answer.
    this.#body.pause();
    this.#reject(error);
  }

  /** What can be said before anything of it was read. */
  #refusal(): Error | undefined {
    const { announced, limit, share } = this.#options;
    if (this.#body.destroyed) return broken();
    if (announced > mostThatComes(this.#options)) return tooLarge(limit);
    // Only a look: what is announced takes up nothing yet, or whoever announces much and sends little would lock
    // all others out.
    return announced > 0 && !share.canRaiseTo(Math.min(announced, limit)) ? noRoom() : undefined;
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#settled) return;
    const { limit, share } = this.#options;
    const length = this.#pieces.length + chunk.length;
    if (length > mostThatComes(this.#options)) this.giveUp(tooLarge(limit));
    else if (!share.raiseTo(Math.min(length, limit))) this.giveUp(noRoom());
    else this.#pieces.push(chunk);
  };

  readonly #onEnd = (): void => {
    if (this.#settled) return;
    this.#settle();
    this.#resolve(this.#pieces);
  };

  readonly #onBroken = (): void => {
    // It closes after its end as well.
    if (!this.#settled) this.giveUp(broken());
  };

  #settle(): void {
    this.#settled = true;
    this.#options.watch.remove(this);
  }
}

function mostThatComes({ limit, isCompressed }: BodyOptions): number {
  return isCompressed ? limit + COMPRESSED_EXTRA_BYTES : limit;
}

function broken(): BodyBrokenError {
  return new BodyBrokenError('the client has gone before all of its body was there');
}
