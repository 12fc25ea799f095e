/** Connections to a Postgres that ends. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SteadyClient } from '../../src/store/steady-client.ts';
import { createTestDatabase } from '../support/postgres.ts';

let url: string;
let drop: () => Promise<void>;

beforeAll(async () => {
  ({ url, drop } = await createTestDatabase());
});

afterAll(() => drop?.());

async function connect(): Promise<{ client: SteadyClient; backend: number; errors: string[] }> {
  const client = new SteadyClient({ connectionString: url });
  const errors: string[] = [];
  client.on('error', ({ message }) => errors.push(message));
  await client.connect();
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  return { client, backend: rows[0]?.pid ?? 0, errors };
}

it('a connection tells that its server has ended it', async () => {
  const { client, backend, errors } = await connect();
  const ended = new Promise((resolve) => client.once('end', resolve));
  process.kill(backend, 'SIGTERM');
  await ended;
  expect(errors[0]).toContain('terminating connection due to administrator command');
});

it('but not where it was being closed anyway, and the server ends before it has heard of that', async () => {
  const { client, backend, errors } = await connect();
  process.kill(backend, 'SIGSTOP');
  const ended = client.end();
  process.kill(backend, 'SIGTERM');
  process.kill(backend, 'SIGCONT');
  await ended;
  expect(errors).toEqual([]);
});
