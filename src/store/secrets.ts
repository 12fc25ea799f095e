/** Secrets that every process must share: made by the first that needs one, kept in the database. */
import { randomBytes } from 'node:crypto';
import type { Queryable } from './database.ts';

const SECRET_BYTES = 32;

/**
 * Gives the secret of this name, and makes it where there is none. Asks the database once; a failure is not
 * remembered.
 */
export function sharedSecret(on: Queryable, name: string): () => Promise<Buffer> {
  let known: Buffer | undefined;
  return async () => {
    known ??= await findOrMake(on, name);
    return known;
  };
}

async function findOrMake(on: Queryable, name: string): Promise<Buffer> {
  // The row that wins is read back: two processes may make one at the same time.
  await on.query({
    text: 'INSERT INTO inlet.secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING',
    values: [name, randomBytes(SECRET_BYTES)],
  });
  const [row] = await on.query<{ value: Buffer }>({
    text: 'SELECT value FROM inlet.secrets WHERE name = $1',
    values: [name],
  });
  if (!row) throw new Error(`the secret ${name} vanished`);
  return row.value;
}
