/** How the queue in Postgres connects, whatever the URL and the role have set for connections. */
import { expect, inject, onTestFinished } from 'vitest';
import { bullmqProvider } from '../../src/queue/bullmq.ts';
import { postgresBackend } from '../../src/queue/postgres.ts';
import { inletTest } from '../support/fixtures.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest();

const TASKS = 200;

test('works with options in the URL, and with a role whose transactions are serializable', async ({
  databaseUrl,
}) => {
  const database = new URL(databaseUrl).pathname.slice(1);
  await query(
    inject('postgresUrl'),
    `ALTER DATABASE ${database} SET default_transaction_isolation = 'serializable'`,
  );
  const errors: string[] = [];
  const onError = (error: Error) => errors.push(error.message);
  const url = `${databaseUrl}?options=-c%20lock_timeout%3D29s&connect_timeout=10`;
  const provider = bullmqProvider(
    postgresBackend({ url, queueName: 'connections', poolSize: 4, onError }),
    onError,
  );
  const tasks = provider.openTasks();
  onTestFinished(() => tasks.close());
  const done = new Set<string>();
  for (let n = 0; n < 2; n += 1) {
    const consumer = provider.consumeTasks(async (id) => void done.add(id), { concurrency: 20 });
    onTestFinished(() => consumer.close(1_000));
  }
  const ids = Array.from({ length: TASKS }, (_, n) => `t_${n}`);
  // Some at a time: who waits for a connection gives up after four seconds.
  for (let n = 0; n < TASKS; n += 20) await Promise.all(ids.slice(n, n + 20).map((id) => tasks.add([id])));
  await waitFor('all tasks to be done', () => done.size === TASKS);
  expect(errors).toEqual([]);

  const [used] = await query(databaseUrl, `SELECT current_setting('default_transaction_isolation') AS role`);
  expect(used).toEqual({ role: 'serializable' });
});
