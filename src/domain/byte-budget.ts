/** A budget of bytes that are held in memory at one time, shared by all who hold some. */

/** Counts what is held, against a limit. */
export class ByteBudget {
  readonly limit: number;
  #held = 0;

  /** @param limit most bytes that may be held at one time */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** Bytes that are held now. */
  get held(): number {
    return this.#held;
  }

  hasRoomFor(bytes: number): boolean {
    return this.#held + bytes <= this.limit;
  }

  /** Opens a share of the budget, of nothing as yet. */
  open(): Share {
    return new Share(this);
  }

  /** For {@link Share} alone. */
  change(bytes: number): void {
    this.#held += bytes;
  }
}

/** What one holder has of the budget. */
export class Share {
  readonly #budget: ByteBudget;
  #bytes = 0;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  /** Whether {@link raiseTo} would do it now. */
  canRaiseTo(total: number): boolean {
    return this.#budget.hasRoomFor(total - this.#bytes);
  }

  /**
   * Makes this at least `total` bytes.
   * @returns false where there is no room for that; the share then stays as it is
   */
  raiseTo(total: number): boolean {
    if (total <= this.#bytes) return true;
    if (!this.canRaiseTo(total)) return false;
    this.#budget.change(total - this.#bytes);
    this.#bytes = total;
    return true;
  }

  /** Gives everything back. May be called again. */
  release(): void {
    this.#budget.change(-this.#bytes);
    this.#bytes = 0;
  }
}
