/** CPU time, which other work on the machine doesn't add to as it does to the time on the clock. */

/** How often something that seems slow is tried again: a collection of garbage may have come in between. */
const TRIES = 3;

/**
 * Measures what a call takes.
 * @param enough at this many milliseconds it counts as slow, and is tried again
 * @returns the least CPU time of its tries, in milliseconds
 */
export function cpuMs(run: () => unknown, enough: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < TRIES && least >= enough; i += 1) {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1_000);
  }
  return least;
}
