/** Settings at the ends of their ranges, in combinations such that each pair of ends comes together. */

/** The least and the most that a setting may be. */
export type Ends = readonly [least: string, most: string];

/**
 * Few combinations in which any two settings meet with all four of their ends: both ends of all, and for each digit of a setting's
 * number in binary one combination in which that digit chooses the end, and its opposite.
 */
export function combinations(settings: Readonly<Record<string, Ends>>): Record<string, string>[] {
  const entries = Object.entries(settings);
  const chosen = (isMost: (i: number) => boolean): Record<string, string> =>
    Object.fromEntries(entries.map(([name, [least, most]], i) => [name, isMost(i) ? most : least]));
  const digits = Math.ceil(Math.log2(entries.length));
  return [
    chosen(() => false),
    chosen(() => true),
    ...Array.from({ length: digits }, (_, digit) => (i: number) => ((i >> digit) & 1) === 1).flatMap(
      (isSet) => [chosen(isSet), chosen((i) => !isSet(i))],
    ),
  ];
}
