/** Slows down who guesses keys: after many failures of an address its further guesses are refused for a while. */

/** Failures of one address within a window that are answered as what they are. */
const MAX_FAILURES = 60;
const WINDOW_MS = 60_000;

/** Addresses that are kept at one time; with more, the oldest are forgotten. */
const MAX_ADDRESSES = 10_000;

interface Failures {
  count: number;
  /** On the clock of the throttle. */
  readonly until: number;
}

export class FailureThrottle {
  readonly #now: () => number;
  readonly #failures = new Map<string, Failures>();

  /** @param now a clock in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Notes that an address has brought no valid key. */
  failed(address: string): void {
    const source = sourceOf(address);
    const now = this.#now();
    const known = this.#failures.get(source);
    if (known && known.until > now) {
      known.count += 1;
      return;
    }
    // Inserted anew, so that the first of the map is always the oldest.
    this.#failures.delete(source);
    if (this.#failures.size >= MAX_ADDRESSES) {
      for (const oldest of this.#failures.keys()) {
        this.#failures.delete(oldest);
        break;
      }
    }
    this.#failures.set(source, { count: 1, until: now + WINDOW_MS });
  }

  /** How many seconds an address has to wait; 0 where it is not throttled. */
  waitSeconds(address: string): number {
    if (this.#failures.size === 0) return 0;
    const known = this.#failures.get(sourceOf(address));
    if (!known || known.count < MAX_FAILURES) return 0;
    return Math.max(0, Math.ceil((known.until - this.#now()) / 1_000));
  }
}

/** Whoever has an IPv6 address has a whole /64 of them. */
function sourceOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address;
  const [head = ''] = address.split('::');
  const groups = head.split(':').filter((group) => group !== '');
  return `${groups.slice(0, 4).join(':')}/64`;
}
