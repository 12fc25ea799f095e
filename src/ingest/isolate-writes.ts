/** Isolation of writes that Postgres has refused together, whatever the code. */
import type { Refusal } from '../store/attempt-write.ts';
import { attemptWrite, impatiently, takesWrites, undo } from '../store/attempt-write.ts';
import type { Queryable } from '../store/database.ts';
import type { FaultKind } from '../store/faults.ts';
import type { Failure } from './isolate.ts';
import { groupByKey, isolate } from './isolate.ts';

/**
 * How often an object has to be refused alone, while its neighbours are stored, until it is kept as failed. Between the
 * tries lie 1, 2, 4, … seconds: trying again can help with some codes more than with others.
 */
const TRIES: Readonly<Record<FaultKind, number>> = { data: 1, unexpected: 4, infrastructure: 6 };

/** How many writes are tried alone to find out whether any passes. */
const SAMPLE = 8;

/**
 * How long an isolation takes at most, in milliseconds; what it hasn't tried by then waits. Each further try may take so much
 * longer, or it would come to the same point again and again.
 */
const BUDGET_MS = 120_000;

const NOT_TRIED: Refusal = { kind: 'infrastructure', sqlState: '', message: '', isLocked: true };

interface Options<Write, T> {
  /** Writes some of them, all or none. */
  readonly write: (some: readonly Write[]) => Promise<T>;
  /** Whether one that is refused was stored before, or overtaken; left out where none can have been. */
  readonly wasStored?: ((write: Write) => Promise<boolean>) | undefined;
  /** How often objects of this batch were refused before. */
  readonly refusals: number;
  readonly onProgress: () => void;
  /** As {@link BUDGET_MS} unless told. */
  readonly budgetMs?: number;
}

export interface IsolatedWrites<Write, T> {
  /** What the writes that passed have resolved to. */
  readonly results: readonly T[];
  readonly failed: readonly Failure<Write, Refusal>[];
  /** Writes that are to be tried again later. */
  readonly waiting: readonly Write[];
  /** The SQLSTATEs for which they wait. */
  readonly sqlStates: readonly string[];
  /** Whether nothing shows that the table takes writes at all. */
  readonly isBroken: boolean;
  /** Whether they wait for nothing but locks. */
  readonly isLocked: boolean;
}

/**
 * Stores what passes. Of what is refused alone, an object whose data is at fault has failed; one that is refused for
 * another reason waits, and has failed when it was refused again and again.
 * @throws StoreUnavailableError where the connection is gone; pg.DatabaseError only for statements of its own
 */
export async function isolateWrites<Write extends { readonly namespace: string; readonly id: string }, T>(
  transaction: Queryable,
  writes: readonly Write[],
  { write, wasStored, refusals, onProgress, budgetMs = BUDGET_MS }: Options<Write, T>,
): Promise<IsolatedWrites<Write, T>> {
  const deadline = performance.now() + budgetMs * (refusals + 1);
  const groups = groupByKey(writes);
  const results: T[] = [];
  const sqlStates = new Set<string>();
  let passes: boolean | undefined;
  let isLocked = true;

  /** Looked at once, where nothing has passed yet: a broken table would refuse each of a thousand objects alone. */
  const isBroken = async (): Promise<boolean> => {
    passes ??= (await takesWrites(transaction)) || (await somePass());
    return !passes;
  };
  const somePass = async (): Promise<boolean> => {
    await transaction.query({ text: 'SAVEPOINT sample' });
    let found = false;
    for (const some of sampleOf(groups.flatMap((group) => group.slice(-1)))) {
      found ||= (await attemptWrite(transaction, () => write([some]))).refusal === undefined;
      onProgress();
    }
    await undo(transaction, 'sample');
    return found;
  };
  const isDone = async ([only, ...others]: readonly Write[]): Promise<boolean> => {
    if (!wasStored || only === undefined || others.length > 0) return false;
    // What can't even be read as JSON must not end the transaction.
    return (await attemptWrite(transaction, () => wasStored(only))).result ?? false;
  };
  const attempt = async (some: readonly Write[]): Promise<Refusal | undefined> => {
    if (performance.now() > deadline || passes === false) return NOT_TRIED;
    const { refusal, result } = await attemptWrite(transaction, () => write(some));
    onProgress();
    if (refusal === undefined) {
      passes = true;
      results.push(result);
    } else if (await isDone(some)) {
      return undefined;
    } else if (refusal.kind !== 'data') {
      sqlStates.add(refusal.sqlState);
      if (await isBroken()) return NOT_TRIED;
    }
    return refusal;
  };
  const isFinal = (refusal: Refusal): boolean => {
    if (refusal.isLocked) return false;
    if (refusals + 1 >= TRIES[refusal.kind]) return true;
    isLocked = false;
    return false;
  };

  const { failed, waiting } = await impatiently(transaction, () => isolate(groups, attempt, isFinal));
  return { results, failed, waiting, sqlStates: [...sqlStates], isBroken: passes === false, isLocked };
}

/** Some of them, chosen at random: those that stand together may all be refused for the same reason. */
function sampleOf<T>(all: readonly T[]): T[] {
  const left = [...all];
  const chosen: T[] = [];
  while (chosen.length < SAMPLE && left.length > 0) {
    chosen.push(...left.splice(Math.floor(Math.random() * left.length), 1));
  }
  return chosen;
}
