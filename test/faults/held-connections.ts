/** Takes all connections that a Postgres has, those of others too. */
import { setTimeout as delay } from 'node:timers/promises';
import { SteadyClient } from '../../src/store/steady-client.ts';

const NAME = 'inlet-test-holder';

/** Holds all of them for so many milliseconds. */
export async function holdAllConnections(url: string, ms: number): Promise<void> {
  const held: SteadyClient[] = [];
  const end = Date.now() + ms;
  try {
    while (Date.now() < end) {
      const client = new SteadyClient({
        ...{ connectionString: url, application_name: NAME },
        ...{ connectionTimeoutMillis: 2_000, query_timeout: 2_000 },
      });
      // It may be killed, by another fault, while it is held.
      client.on('error', () => undefined);
      try {
        await client.connect();
        held.push(client);
      } catch {
        // None is free: those that others have come free, and are taken.
        await client.end().catch(() => undefined);
        await held[0]
          ?.query(
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND application_name <> '${NAME}'`,
          )
          .catch(() => undefined);
        await delay(100);
      }
    }
  } finally {
    await Promise.all(held.map((client) => client.end().catch(() => undefined)));
  }
}
