/**
 * How much a key may send in a second, counted in requests and in objects over all API processes on one Redis; without
 * Redis, and while it is away, each process counts for itself. Keys without a rate cost nothing here.
 */
import { Redis } from 'ioredis';
import type { RateLimiterAbstract } from 'rate-limiter-flexible';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { Caller } from './caller.ts';

/** Length of the window in which is counted, in seconds. */
const WINDOW_S = 1;

/** Longest wait for Redis, in milliseconds; then this process counts for itself. */
const COMMAND_TIMEOUT_MS = 1_000;

/** What is counted. */
export type RateUnit = 'requests' | 'objects';

/** Where a caller stands with one of its rates. */
export interface RateState {
  readonly unit: RateUnit;
  readonly allowed: boolean;
  /** How many there may be in a window. */
  readonly limit: number;
  /** How many more there may be in this one. */
  readonly remaining: number;
  /** Milliseconds until the next window begins. */
  readonly resetMs: number;
}

export interface RateLimitOptions {
  readonly redisUrl: string | undefined;
  /** What all keys in Redis begin with. */
  readonly redisPrefix: string;
  readonly onError: (error: Error) => void;
}

export class RateLimits {
  readonly #prefix: string;
  readonly #redis: Redis | undefined;
  /** By unit and limit: few keys have a rate, and fewer different ones. */
  readonly #limiters = new Map<string, RateLimiterAbstract>();

  constructor({ redisUrl, redisPrefix, onError }: RateLimitOptions) {
    this.#prefix = `${redisPrefix}:rate`;
    if (redisUrl === undefined) return;
    this.#redis = new Redis(redisUrl, {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      commandTimeout: COMMAND_TIMEOUT_MS,
      connectTimeout: 4_000,
      retryStrategy: (attempt) => Math.min(50 * attempt, 1_000),
    });
    this.#redis.on('error', onError);
  }

  /** Counts a request. @returns undefined where the caller has no such rate */
  takeRequest(caller: Caller): Promise<RateState> | undefined {
    const { id, requestRate } = caller;
    return requestRate === undefined ? undefined : this.#take('requests', id, requestRate, 1);
  }

  /** Counts objects that are to be written. @returns undefined where the caller has no such rate */
  takeObjects(caller: Caller, count: number): Promise<RateState> | undefined {
    const { id, objectRate } = caller;
    return objectRate === undefined ? undefined : this.#take('objects', id, objectRate, count);
  }

  async close(): Promise<void> {
    this.#redis?.disconnect();
  }

  async #take(unit: RateUnit, id: string, limit: number, cost: number): Promise<RateState> {
    const limiter = this.#limiter(unit, limit);
    // What alone is more than a window allows needs a whole one for itself, and uses up those that follow.
    const outcome = await limiter.consume(id, Math.min(cost, limit)).catch((refusal: unknown) => {
      if (refusal instanceof RateLimiterRes) return { refusal };
      throw refusal;
    });
    const { msBeforeNext, remainingPoints } = 'refusal' in outcome ? outcome.refusal : outcome;
    const allowed = !('refusal' in outcome);
    if (!allowed || cost <= limit) {
      return { unit, allowed, limit, remaining: remainingPoints, resetMs: msBeforeNext };
    }
    const seconds = Math.ceil(cost / limit) * WINDOW_S;
    await limiter.block(id, seconds);
    return { unit, allowed, limit, remaining: 0, resetMs: seconds * 1_000 };
  }

  #limiter(unit: RateUnit, limit: number): RateLimiterAbstract {
    const known = this.#limiters.get(`${unit} ${limit}`);
    if (known) return known;
    const options = { points: limit, duration: WINDOW_S, keyPrefix: `${this.#prefix}:${unit}` };
    const alone = new RateLimiterMemory(options);
    const limiter = this.#redis
      ? new RateLimiterRedis({
          ...options,
          storeClient: this.#redis,
          rejectIfRedisNotReady: true,
          insuranceLimiter: alone,
        })
      : alone;
    this.#limiters.set(`${unit} ${limit}`, limiter);
    return limiter;
  }
}
