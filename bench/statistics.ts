/** What is made of several measurements of the same thing. */

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/**
 * The value below which a share of the values lies (nearest rank).
 * @param sorted in ascending order
 * @param share from 0 to 1
 * @returns NaN where there are no values
 */
export function quantile(sorted: ArrayLike<number>, share: number): number {
  const rank = Math.ceil(sorted.length * share);
  return sorted[Math.min(Math.max(rank, 1), sorted.length) - 1] ?? Number.NaN;
}

/** The middle value; the mean of both where there are two. NaN where there are none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** undefined where there are no values. */
export function spread(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const [min, max] = [Math.min(...values), Math.max(...values)];
  return { median: median(values), min, max, count: values.length };
}

/**
 * The ratio of two things that were measured in the same rounds: that of each round, because what disturbs the
 * machine for minutes disturbs both.
 * @param of by round
 * @param to by round
 */
export function ratios(of: ReadonlyMap<number, number>, to: ReadonlyMap<number, number>): Spread | undefined {
  const both = [...of].flatMap(([round, value]) => {
    const other = to.get(round);
    return other === undefined ? [] : [value / other];
  });
  return spread(both);
}
