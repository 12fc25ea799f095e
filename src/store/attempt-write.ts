/** Writes that Postgres may refuse for their data, inside a transaction that goes on in either case. */
import { storableText } from '../domain/storable.ts';
import type { Queryable } from './database.ts';
import { faultKind, sqlState } from './faults.ts';

/** Why Postgres has refused data. */
export interface Refusal {
  readonly sqlState: string;
  readonly message: string;
}

/**
 * Tries a write behind a savepoint.
 * @returns how many rows it has written, or why it was refused for its data: then nothing of it is left
 * @throws what `write` throws for another reason
 */
export async function attemptWrite(
  transaction: Queryable,
  write: () => Promise<number>,
): Promise<{ readonly written: number; readonly refusal: Refusal | undefined }> {
  await transaction.query({ text: 'SAVEPOINT attempt' });
  try {
    const written = await write();
    // Constraints that would wait for the commit would fail it as a whole.
    await transaction.query({ text: 'SET CONSTRAINTS ALL IMMEDIATE' });
    await transaction.query({ text: 'RELEASE SAVEPOINT attempt' });
    return { written, refusal: undefined };
  } catch (error) {
    const state = sqlState(error);
    if (state === undefined || faultKind(error) !== 'data') throw error;
    await transaction.query({ text: 'ROLLBACK TO SAVEPOINT attempt' });
    return {
      written: 0,
      refusal: { sqlState: state, message: storableText((error as Error).message) },
    };
  }
}
