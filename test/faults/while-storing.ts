/** Moments in which workers have batches in hand; otherwise those are short. */
import { setTimeout as delay } from 'node:timers/promises';
import { SteadyClient } from '../../src/store/steady-client.ts';

/** How long it takes, under load, until every worker waits with a batch, in milliseconds. */
const IN_HAND_MS = 1_000;

/**
 * Does something while all that workers store waits for a lock. Where Postgres is away it is just done.
 * @param load sends what they are to have in hand, where nobody else does
 */
export async function whileStoring(
  databaseUrl: string,
  act: () => Promise<unknown>,
  load: () => Promise<unknown> = async () => undefined,
): Promise<void> {
  const client = new SteadyClient({
    connectionString: databaseUrl,
    connectionTimeoutMillis: 2_000,
    query_timeout: 5_000,
  });
  try {
    await client.connect();
    await client.query('BEGIN; LOCK TABLE inlet.objects IN EXCLUSIVE MODE');
    await load();
    await delay(IN_HAND_MS);
  } catch {
    // Another fault has its hands in this one: there is nothing more to be waited for.
  }
  try {
    await act();
  } finally {
    await client.end().catch(() => undefined);
  }
}
