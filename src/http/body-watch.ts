/** Gives up bodies that come too slowly. One timer looks after all of them: one for each would cost every request. */
import { ProblemError } from '../errors.ts';
import type { HttpLimits } from './limits.ts';

/** A body that is waited for. */
export interface WatchedBody {
  /** Bytes that have come over the wire. */
  readonly received: number;
  giveUp(error: ProblemError): void;
}

/** What the last look at a body has found; times in milliseconds. */
interface Look {
  readonly firstAt: number;
  readonly received: number;
  /** When the last byte was seen to have come. */
  readonly cameAt: number;
}

type Limits = Pick<HttpLimits, 'bodyIdleMs' | 'bodyBytesPerSecond' | 'bodyMs'>;

/** How often it is looked at most, in milliseconds: so much later than its time a body is given up. */
const LOOK_EVERY_MS = 1_000;

export class BodyWatch {
  readonly #limits: Limits;
  readonly #bodies = new Map<WatchedBody, Look | undefined>();
  readonly #timer: NodeJS.Timeout;

  constructor(limits: Limits) {
    this.#limits = limits;
    const every = Math.min(LOOK_EVERY_MS, limits.bodyIdleMs / 4, limits.bodyMs / 4);
    this.#timer = setInterval(() => this.#look(performance.now()), every);
    this.#timer.unref();
  }

  add(body: WatchedBody): void {
    this.#bodies.set(body, undefined);
  }

  remove(body: WatchedBody): void {
    this.#bodies.delete(body);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(now: number): void {
    for (const [body, last] of this.#bodies) {
      const { received } = body;
      const firstAt = last?.firstAt ?? now;
      const cameAt = last?.received === received ? last.cameAt : now;
      const mistake = this.#mistake({ firstAt, received, cameAt }, now);
      if (mistake === undefined) this.#bodies.set(body, { firstAt, received, cameAt });
      else body.giveUp(new ProblemError('request_timeout', mistake));
    }
  }

  #mistake({ firstAt, received, cameAt }: Look, now: number): string | undefined {
    const { bodyIdleMs, bodyBytesPerSecond, bodyMs } = this.#limits;
    if (now - cameAt > bodyIdleMs) return `nothing of the body has come for ${bodyIdleMs / 1_000} seconds`;
    if (now - firstAt > bodyMs) return `the body takes longer than ${bodyMs / 1_000} seconds to arrive`;
    const atLeast = ((now - firstAt - bodyIdleMs) / 1_000) * bodyBytesPerSecond;
    if (received < atLeast) return `the body comes slower than ${bodyBytesPerSecond} bytes a second`;
    return undefined;
  }
}
