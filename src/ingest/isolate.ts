/**
 * Isolation: where a batch is refused, finds the writes that are to blame, so that their neighbours can be stored. Halving
 * needs about log₂ n statements for each culprit instead of n for all.
 */

/** Tries to store some writes together; resolves to the reason where they are refused, and then none is stored. */
export type Attempt<Write, Reason> = (writes: readonly Write[]) => Promise<Reason | undefined>;

export interface Failure<Write, Reason> {
  readonly write: Write;
  readonly reason: Reason;
}

/** What was not stored. */
export interface Isolated<Write, Reason> {
  /** The writes that were refused for good, each alone. */
  readonly failed: readonly Failure<Write, Reason>[];
  /** The writes of each key whose latest one may be stored later. */
  readonly waiting: readonly Write[];
}

/**
 * Stores all that can be stored.
 *
 * Of several writes of one key only the last counts; but where that one is refused for good it hasn't overtaken
 * anything, and the one before it is tried. Where it is to be tried again, those before it wait with it.
 *
 * @param groups the writes of each key, oldest first; groups in the order in which rows are to be locked
 * @param isFinal whether a write that was refused alone is not to be tried again
 */
export async function isolate<Write, Reason>(
  groups: readonly (readonly Write[])[],
  attempt: Attempt<Write, Reason>,
  isFinal: (reason: Reason) => boolean | Promise<boolean> = () => true,
): Promise<Isolated<Write, Reason>> {
  const failed: Failure<Write, Reason>[] = [];
  const waiting: Write[] = [];
  let remaining = groups.filter((group) => group.length > 0);
  while (remaining.length > 0) {
    const latest = remaining.flatMap((group) => group.slice(-1));
    const refused = new Map<Write, Failure<Write, Reason>>();
    for (const failure of await halve(latest, attempt)) refused.set(failure.write, failure);
    const next: (readonly Write[])[] = [];
    for (const group of remaining) {
      const failure = group.slice(-1).map((write) => refused.get(write))[0];
      if (!failure) continue;
      if (await isFinal(failure.reason)) {
        failed.push(failure);
        if (group.length > 1) next.push(group.slice(0, -1));
      } else {
        waiting.push(...group);
      }
    }
    remaining = next;
  }
  return { failed, waiting };
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
