/** Connections to a Postgres that ends. */
import { expect } from 'vitest';
import { SteadyClient } from '../../src/store/steady-client.ts';
import { inletTest } from '../support/fixtures.ts';

const test = inletTest();

async function connect(url: string): Promise<{ client: SteadyClient; backend: number; errors: string[] }> {
  const client = new SteadyClient({ connectionString: url });
  const errors: string[] = [];
  client.on('error', ({ message }) => errors.push(message));
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return { client, backend: rows[0]?.pid ?? 0, errors };
}

test('a connection tells that its server has ended it', async ({ databaseUrl }) => {
  const { client, backend, errors } = await connect(databaseUrl);
  const ended = new Promise((resolve) => client.once('end', resolve));
  process.kill(backend, 'SIGTERM');
  await ended;
  expect(errors[0]).toContain('terminating connection due to administrator command');
});

test('but not where it was being closed anyway, and the server ends before it has heard of that', async ({
  databaseUrl,
}) => {
  const { client, backend, errors } = await connect(databaseUrl);
  process.kill(backend, 'SIGSTOP');
  const ended = client.end();
  process.kill(backend, 'SIGTERM');
  process.kill(backend, 'SIGCONT');
  await ended;
  expect(errors).toEqual([]);
});
