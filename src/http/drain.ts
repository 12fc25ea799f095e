/**
 * How an API takes its leave: for a while it goes on taking requests and says at `/readyz` that it is not ready, so that a
 * load balancer turns to others before there is nobody any more who listens.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import type { Readiness } from './routes/health.ts';

export class Drain {
  readonly #ms: number;
  #stops = false;

  /** @param ms for how long, in milliseconds; 0: not at all */
  constructor(ms: number) {
    this.#ms = ms;
  }

  /** What is to be told at `/readyz`, from what would be told otherwise. */
  readiness(of: () => Promise<Readiness>): () => Promise<Readiness> {
    return async () => {
      const found = await of();
      if (!this.#stops) return found;
      const warnings = [...found.warnings, 'the process is about to stop'];
      return { ...found, ready: false, isStopping: true, warnings };
    };
  }

  /** Resolves when the time is over. From now on each connection is closed with its next answer. */
  async run({ server }: FastifyInstance): Promise<void> {
    this.#stops = true;
    if (this.#ms === 0) return;
    // Node then says `Connection: close`; to do it in a hook would cost every request a little, all of the time.
    server.maxRequestsPerSocket = 1;
    await delay(this.#ms);
  }
}
