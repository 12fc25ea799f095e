/** What the queue in Postgres needs of its connections, and poolers don't give: settings that stay, and notifications. */
import { randomBytes } from 'node:crypto';
import { OperatorError } from '../errors.ts';
import type { Queryable } from './database.ts';
import { queryableOn, unavailable } from './database.ts';
import { SteadyClient } from './steady-client.ts';

/** Of the connection that is tried; no other one has it. In milliseconds. */
const STATEMENT_TIMEOUT_MS = 29_999;

/** How long a connection and a notification may take, in milliseconds. */
const CONNECT_MS = 5_000;
const NOTIFIED_MS = 3_000;

/** What PgBouncer says to settings that it doesn't know; its code for that is the one of all its errors. */
export const REFUSED_PARAMETER = /unsupported startup parameter: (\w+)/;

/**
 * Makes sure that the queue can live in this Postgres, by trying what it does.
 * @param database on the same Postgres; notifies the connection that is tried
 * @throws OperatorError where a pooler stands in between that keeps it from working; as {@link Queryable.query} otherwise
 */
export async function requireSessions(url: string, database: Queryable): Promise<void> {
  const client = new SteadyClient({
    connectionString: url,
    application_name: 'inlet check',
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: CONNECT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    // Where the URL has options they count instead; a pooler that takes those takes ours.
    options: '-c search_path=inlet_queue',
  });
  try {
    await client.connect().catch((error: Error) => {
      if (REFUSED_PARAMETER.test(error.message)) throw needsSessions(error.message);
      unavailable(error);
    });
    const session = queryableOn(client);
    const [found] = await session.query<{ timeout: string }>({
      text: "SELECT current_setting('statement_timeout') AS timeout",
    });
    if (found?.timeout !== `${STATEMENT_TIMEOUT_MS}ms`)
      throw needsSessions('it drops settings of connections');
    if (!(await isNotified(client, session, database))) throw needsSessions('it drops notifications');
  } finally {
    await client.end();
  }
}

async function isNotified(client: SteadyClient, session: Queryable, database: Queryable): Promise<boolean> {
  const channel = `inlet_check_${randomBytes(6).toString('hex')}`;
  let timer: NodeJS.Timeout | undefined;
  const notified = new Promise<boolean>((resolve) => {
    client.once('notification', () => resolve(true));
    timer = setTimeout(() => resolve(false), NOTIFIED_MS);
  });
  try {
    await session.query({ text: `LISTEN ${channel}` });
    await database.query({ text: `NOTIFY ${channel}` });
    return await notified;
  } finally {
    clearTimeout(timer);
  }
}

function needsSessions(why: string): OperatorError {
  return new OperatorError(
    `DATABASE_URL leads to a connection pooler in which the queue cannot work (${why}): name Postgres itself, or set REDIS_URL for the queue.`,
  );
}
