/** Closing in order, with a limit on how long each step may take. */
import type { Log } from './telemetry.ts';

/** Something that runs until it is closed. */
export interface Running {
  close(): Promise<void>;
}

const STEP_GRACE_MS = 3_000;

/** Closes what was opened, in reverse order; a step that hangs or fails doesn't keep the next from its turn. */
export class Closing implements Running {
  readonly #steps: { name: string; close: () => Promise<unknown>; graceMs: number }[] = [];
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param graceMs longest time that the step may take, in milliseconds */
  add(name: string, close: () => Promise<unknown>, graceMs = STEP_GRACE_MS): void {
    this.#steps.push({ name, close, graceMs });
  }

  async close(): Promise<void> {
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      const { name, close, graceMs } = step;
      await withDeadline(close(), graceMs).catch((err: unknown) => {
        this.#log.warn({ err }, `could not close the ${name} cleanly`);
      });
    }
  }
}

/** Rejects where `promise` takes longer than `ms` milliseconds. */
export async function withDeadline<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
