/**
 * Redis's memory, watched so that it never fills up. A Redis at its `maxmemory` refuses not only new batches
 * but also what workers need to take one out, so that it could never drain; therefore the producer stops
 * before that.
 */
import type { Redis } from 'ioredis';
import type { QueueLoad } from './queue.ts';

/** How old the last look may be, in milliseconds. */
const FRESH_MS = 100;

/** What is kept free for workers and for what several producers add between two looks, in bytes. */
const RESERVE_BYTES = 16 * 1024 * 1024;

export class MemoryWatch {
  readonly #client: Redis;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #hasRoom = true;

  constructor(client: Redis) {
    this.#client = client;
  }

  /** Whether Redis has room for more batches; asks it at most ten times a second. */
  async hasRoom(): Promise<boolean> {
    const now = performance.now();
    if (now - this.#lookedAt > FRESH_MS) {
      this.#lookedAt = now;
      const load = await this.load();
      this.#hasRoom = load === undefined || load.usedBytes < load.limitBytes;
    }
    return this.#hasRoom;
  }

  /** What Redis takes up now; undefined where it has no limit. */
  async load(): Promise<QueueLoad['memory']> {
    return memoryLoad(await this.#client.info('memory'));
  }
}

/**
 * Reads `INFO memory`. Batches are refused from nine tenths of `maxmemory` on, earlier where that would leave
 * workers too little, but not before half of it.
 */
export function memoryLoad(info: string): QueueLoad['memory'] {
  const max = field(info, 'maxmemory');
  // No limit is set: Redis takes what the machine has.
  if (max === 0) return undefined;
  const limitBytes = Math.max(max / 2, Math.min(max * 0.9, max - RESERVE_BYTES));
  return { usedBytes: field(info, 'used_memory'), limitBytes: Math.floor(limitBytes) };
}

function field(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
}
