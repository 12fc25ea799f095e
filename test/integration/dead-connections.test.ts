/** Connections to Postgres that go dead without a word, and statements that take too long, on SteadyClient and Database. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import type { ConnectionLimits } from '../../src/store/connection-watch.ts';
import { ConnectionWatch } from '../../src/store/connection-watch.ts';
import { Database } from '../../src/store/database.ts';
import { SteadyClient } from '../../src/store/steady-client.ts';
import { inletTest } from '../support/fixtures.ts';
import { query } from '../support/postgres.ts';
import type { TestProxy } from '../support/proxy.ts';
import { startProxy } from '../support/proxy.ts';
import { waitFor } from '../support/wait-for.ts';

const LIMITS: ConnectionLimits = {
  lookEveryMs: 20,
  silentMs: 150,
  askMs: 300,
  confirmMs: 50,
  askAgainMs: 50,
};

const test = inletTest();

/** Makes connections through a proxy, all with the same watch. */
async function connections(databaseUrl: string) {
  const url = new URL(databaseUrl);
  const proxy = await startProxy(Number(url.port));
  url.port = `${proxy.port}`;
  const watch = new ConnectionWatch(LIMITS);
  const troubles: string[] = [];
  const open: SteadyClient[] = [];
  onTestFinished(async () => {
    for (const client of open) client.drop(new Error('the test is over'));
    await proxy.close();
  });
  const connect = async (): Promise<{ client: SteadyClient; pid: number; lost: Promise<unknown> }> => {
    const onTrouble = ({ message }: Error): void => void troubles.push(message);
    const client = new SteadyClient({ connectionString: url.href, watch, onTrouble });
    open.push(client);
    const lost = new Promise((resolve) => client.once('end', () => resolve(undefined)));
    await client.connect();
    return { client, pid: client.backend?.pid ?? 0, lost };
  };
  return { proxy, troubles, connect } satisfies { proxy: TestProxy } & Record<string, unknown>;
}

/** Asks all the time. @throws what goes wrong with that */
async function talk(client: SteadyClient): Promise<never> {
  for (;;) {
    await client.query('SELECT 1');
    await delay(5);
  }
}

/** Those of some server processes that are there still. */
async function backends(databaseUrl: string, ...pids: number[]): Promise<number[]> {
  const rows = await query(databaseUrl, `SELECT pid FROM pg_stat_activity WHERE pid IN (${pids})`);
  return rows.map(({ pid }) => Number(pid));
}

test('a statement on a connection that nothing comes through any more fails, and the server forgets it', async ({
  databaseUrl,
}) => {
  const { proxy, troubles, connect } = await connections(databaseUrl);
  const stuck = await connect();
  const unused = await connect();
  await stuck.client.query('BEGIN');
  proxy.abandon();
  const talking = await connect();
  const answer = stuck.client.query('SELECT 1').catch(({ message }: Error) => message);
  const said = await Promise.race([answer, talk(talking.client)]);
  expect(said).toBe('the connection to Postgres was dead');
  // The one that nobody uses, a listener's for example, would never have told.
  await unused.lost;
  expect(troubles).toEqual(['dropped 2 dead connections to Postgres']);
  await waitFor('their backends to end', async () => {
    return (await backends(databaseUrl, stuck.pid, unused.pid)).length === 0;
  });
  expect((await talking.client.query('SELECT 1')).rowCount).toBe(1);
});

test('connections that their server does not know are dropped, also those that wait for nothing', async ({
  databaseUrl,
}) => {
  const { proxy, connect } = await connections(databaseUrl);
  const stuck = await connect();
  const listener = await connect();
  await listener.client.query('LISTEN nothing');
  proxy.abandon();
  await query(
    databaseUrl,
    `SELECT pg_terminate_backend(pid, 5000) FROM unnest(ARRAY[${stuck.pid}, ${listener.pid}]) AS pid`,
  );
  await expect(stuck.client.query('SELECT 1')).rejects.toThrow('the connection to Postgres was dead');
  await listener.lost;
});

test('a statement that waits for a lock is left alone, however often the server is asked', async ({
  databaseUrl,
}) => {
  const { troubles, connect } = await connections(databaseUrl);
  const holder = await connect();
  const waiting = await connect();
  await holder.client.query('SELECT pg_advisory_lock(1)');
  const answer = waiting.client.query('SELECT pg_advisory_lock(1)');
  await holder.client.query('SELECT pg_sleep(1)');
  await holder.client.query('SELECT pg_advisory_unlock(1)');
  await answer;
  expect(troubles).toEqual([]);
});

test('a large statement on a slow line is left alone', async ({ databaseUrl }) => {
  const { proxy, troubles, connect } = await connections(databaseUrl);
  const { client } = await connect();
  proxy.slow(15);
  const text = 'x'.repeat(3_000_000);
  const { rows } = await client.query(`SELECT length('${text}') AS length`);
  expect(rows).toEqual([{ length: text.length }]);
  expect(troubles).toEqual([]);
});

test('of a server that does not answer nothing is concluded, but told', async ({ databaseUrl }) => {
  const { proxy, troubles, connect } = await connections(databaseUrl);
  const { client } = await connect();
  proxy.hold();
  const answer = client.query('SELECT 1');
  await waitFor('it to be told', () => troubles.length > 0);
  expect(troubles[0]).toBe('Postgres does not answer a statement, and a new connection fails');
  proxy.heal();
  expect((await answer).rowCount).toBe(1);
});

test('a statement that takes too long is stopped in the server, and its connection not used again', async ({
  databaseUrl,
}) => {
  const database = new Database({
    ...{ url: databaseUrl, poolSize: 1, queryTimeoutMs: 200 },
    onError: () => undefined,
  });
  onTestFinished(() => database.close());
  const holder = new SteadyClient({ connectionString: databaseUrl });
  await holder.connect();
  onTestFinished(() => holder.end());
  await holder.query('BEGIN; LOCK TABLE inlet.objects');
  const read = { text: 'SELECT pg_backend_pid() AS pid, (SELECT count(*) FROM inlet.objects)' };
  for (let n = 0; n < 3; n += 1) await expect(database.query(read)).rejects.toThrow('Query read timeout');
  const waiting = `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  await waitFor('none of them to wait', async () => (await query(databaseUrl, waiting)).length === 0);
  await holder.query('ROLLBACK');
  expect(await database.query({ text: 'SELECT 1 AS one' })).toEqual([{ one: 1 }]);
});
