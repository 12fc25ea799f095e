/** Takes all connections that a Postgres has, those of others too. */
import { setTimeout as delay } from 'node:timers/promises';
import { SteadyClient } from '../../src/store/steady-client.ts';

const NAME = 'inlet-test-holder';

/** How many are asked for at a time. */
const AT_ONCE = 10;

/** Holds all of them for so many milliseconds. */
export async function holdAllConnections(url: string, ms: number): Promise<void> {
  const held: SteadyClient[] = [];
  const end = Date.now() + ms;
  const take = async (): Promise<boolean> => {
    const client = new SteadyClient({
      ...{ connectionString: url, application_name: NAME },
      ...{ connectionTimeoutMillis: 2_000, query_timeout: 2_000 },
    });
    try {
      await client.connect();
      held.push(client);
      return true;
    } catch {
      await client.end().catch(() => undefined);
      return false; // none is free
    }
  };
  try {
    while (Date.now() < end) {
      const taken = await Promise.all(Array.from({ length: AT_ONCE }, take));
      if (taken.every(Boolean)) continue;
      // Those that others have come free, and are taken.
      await held[0]
        ?.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE backend_type = 'client backend' AND application_name <> '${NAME}'`,
        )
        .catch(() => undefined);
      await delay(50);
    }
  } finally {
    await Promise.all(held.map((client) => client.end().catch(() => undefined)));
  }
}
