/** The encoding of the database: what is stored is Unicode text, and only UTF8 holds all of it. */
import { OperatorError } from '../errors.ts';
import type { Queryable } from './database.ts';

/**
 * Makes sure that the database's encoding is UTF8. (SQL_ASCII would take most writes, and refuse one with an escape
 * such as `"\u00e9"` for ever.)
 * @throws OperatorError where it is another
 */
export async function requireUtf8(database: Queryable): Promise<void> {
  const [found] = await database.query<{ name: string; encoding: string }>({
    text: `SELECT current_database() AS name, current_setting('server_encoding') AS encoding`,
  });
  if (!found || found.encoding === 'UTF8') return;
  throw new OperatorError(
    `The database ${JSON.stringify(found.name)} (DATABASE_URL) has the encoding ${found.encoding}, and Inlet needs UTF8. ` +
      `Create another and name that: CREATE DATABASE inlet ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0.`,
  );
}
