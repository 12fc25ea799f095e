/**
 * Isolation: where a batch is refused because of its data, finds the writes that are to blame, so that their
 * neighbours can be stored. Halving needs about log₂ n statements for each culprit instead of n for all.
 */

/** Tries to store some writes together; resolves to the reason where they are refused, and then none is stored. */
export type Attempt<Write, Reason> = (writes: readonly Write[]) => Promise<Reason | undefined>;

export interface Failure<Write, Reason> {
  readonly write: Write;
  readonly reason: Reason;
}

/**
 * Stores all that can be stored.
 *
 * Of several writes of one key only the last counts; but where that one is refused it hasn't overtaken
 * anything, and the one before it is tried.
 *
 * @param groups the writes of each key, oldest first; groups in the order in which rows are to be locked
 * @returns the writes that were refused, each alone
 */
export async function isolate<Write, Reason>(
  groups: readonly (readonly Write[])[],
  attempt: Attempt<Write, Reason>,
): Promise<Failure<Write, Reason>[]> {
  const failures: Failure<Write, Reason>[] = [];
  let remaining = groups.filter((group) => group.length > 0);
  while (remaining.length > 0) {
    const latest = remaining.flatMap((group) => group.slice(-1));
    const refused = await halve(latest, attempt);
    failures.push(...refused);
    const culprits = new Set(refused.map(({ write }) => write));
    remaining = remaining
      .filter((group) => group.slice(-1).some((write) => culprits.has(write)))
      .map((group) => group.slice(0, -1))
      .filter((group) => group.length > 0);
  }
  return failures;
}

async function halve<Write, Reason>(
  writes: readonly Write[],
  attempt: Attempt<Write, Reason>,
): Promise<Failure<Write, Reason>[]> {
  const reason = await attempt(writes);
  if (reason === undefined) return [];
  const [only, ...others] = writes;
  if (only !== undefined && others.length === 0) return [{ write: only, reason }];
  const middle = Math.ceil(writes.length / 2);
  const first = await halve(writes.slice(0, middle), attempt);
  const second = await halve(writes.slice(middle), attempt);
  return [...first, ...second];
}

/**
 * The writes of each key in their order, the keys in the order in which `upsertObjects` locks rows: also a
 * batch that is stored in pieces must not wait for another worker in a circle.
 */
export function groupByKey<Write extends { readonly namespace: string; readonly id: string }>(
  writes: readonly Write[],
): Write[][] {
  const groups = new Map<string, Write[]>();
  for (const write of writes) {
    // No namespace holds a space.
    const key = `${write.namespace} ${write.id}`;
    const group = groups.get(key);
    if (group) group.push(write);
    else groups.set(key, [write]);
  }
  return [...groups]
    .map(([key, group]) => ({ bytes: Buffer.from(key), group }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ group }) => group);
}
