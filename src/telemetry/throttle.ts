/** Keeps the log readable while something fails over and over: one line for what repeats, with how many it stands for. */

/** How long one line stands for all that repeats it, in milliseconds. */
const INTERVAL_MS = 10_000;

/** Most keys that are told apart. */
const MOST_KEYS = 100;

/** Logs something. @param leftOut how many like it were not logged */
export type Tell = (leftOut: { readonly leftOut?: number }) => void;

interface Kept {
  count: number;
  /** The latest. */
  tell: Tell;
}

/** Tells at once of the first of its kind, and of those that repeat it once for each interval. */
export class Throttle {
  readonly #kept = new Map<string, Kept>();
  readonly #mostKeys: number;

  /** @param mostKeys beyond so many kinds in an interval they count as one, and memory stays bounded */
  constructor(mostKeys = MOST_KEYS) {
    this.#mostKeys = mostKeys;
  }

  /**
   * @param kind what the same line can stand for
   * @param tell called now, or at the end of the interval, or never
   */
  tell(kind: string, tell: Tell): void {
    const key = this.#kept.has(kind) || this.#kept.size < this.#mostKeys ? kind : '';
    const kept = this.#kept.get(key);
    if (kept) {
      kept.count += 1;
      kept.tell = tell;
      return;
    }
    this.#begin(key);
    tell({});
  }

  #begin(key: string): void {
    const kept: Kept = { count: 0, tell: () => undefined };
    this.#kept.set(key, kept);
    setTimeout(() => {
      this.#kept.delete(key);
      if (kept.count === 0) return;
      this.#begin(key);
      kept.tell(kept.count > 1 ? { leftOut: kept.count - 1 } : {});
    }, INTERVAL_MS).unref();
  }
}

/**
 * What errors have in common that say the same of different jobs, connections or files: name, code, and message
 * without words that have a digit or an underscore in them, such as ids, addresses and sizes.
 */
export function kindOf(error: Error): string {
  const code = 'code' in error ? error.code : '';
  const words = error.message.replaceAll(/[^\s,;:()"']+/g, (word) => (/[\d_]/.test(word) ? '#' : word));
  return `${error.name} ${code} ${words}`;
}
