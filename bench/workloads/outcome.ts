/** What a workload tells, and the check that what was accepted is stored. */
import type { Usage } from '../machine/meter.ts';
import type { Figures, Measurement } from '../measurement.ts';
import type { Task } from './workload.ts';
import { StoreMismatchError } from './workload.ts';

/** What one kind of workload finds out. */
export type Outcome = Pick<Measurement, 'accepted' | 'stored' | 'refused'> & {
  readonly figures: Figures;
  /** How long the load generator was at work. */
  readonly loadSeconds: number;
  /** Of programs that belong to the system and have ended. */
  readonly usage?: Readonly<Record<string, Usage>>;
};

export interface Expected {
  readonly accepted: number;
  /** Most objects that may have been accepted without the answer having been seen. */
  readonly unseen: number;
  /** When the load began, in milliseconds since 1970. */
  readonly startedAt: number;
}

/** What became of the accepted objects. */
export interface Stored {
  readonly stored: number;
  readonly storedPerSecond: number;
}

/**
 * Waits until everything is stored, and checks that it is what was accepted: in number, and in content where up to
 * 1,000 rows are looked at.
 * @returns undefined where the system stores nothing
 * @throws StoreMismatchError
 */
export async function whenStored(
  { system: { store, key }, writes, workload, meter }: Task,
  { accepted, unseen, startedAt }: Expected,
): Promise<Stored | undefined> {
  const fail = (what: string): never => {
    throw new StoreMismatchError(`(${key}) ${workload.title}: ${what}`);
  };
  if (accepted === 0) fail('nothing was accepted');
  if (!store) {
    meter.read();
    return undefined;
  }
  const { rows, lastCommitMs } = await store.drained(writes.firstN, startedAt, accepted, () => meter.read());
  if (rows < accepted || rows > accepted + unseen)
    fail(`${accepted} objects were accepted and ${rows} are stored (up to ${unseen} more would be right)`);
  const wrong = await store.wrongRows(writes.kind, writes.firstKey, writes.firstN);
  if (wrong > 0) fail(`${wrong} objects are stored with other data than was sent`);
  return { stored: rows, storedPerSecond: rows / ((lastCommitMs - startedAt) / 1_000) };
}
