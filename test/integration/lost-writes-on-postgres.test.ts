/** With its queue in Postgres, what an older copy has forgotten is told by the processes that know of it. */
import { expect } from 'vitest';
import { inletTest } from '../support/fixtures.ts';
import type { TestInlet } from '../support/inlet.ts';
import { command, losses, told, warnings } from '../support/losses.ts';
import { query } from '../support/postgres.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest({}, 'postgres');

/** Waits until no loss is told any more, so that what is told next is of the next test. */
const noLonger = (inlet: TestInlet) =>
  waitFor(
    'no warning of a loss',
    async () => !(await warnings(inlet)).some((line) => /may be lost/.test(line)),
  );

const write = (inlet: TestInlet, id: string) => inlet.write('lost', JSON.stringify({ data: { id } }));

test('a queue that lacks what was acknowledged, as after a failover, is told', async ({
  inlet,
  databaseUrl: url,
  config,
}) => {
  await inlet.done('lost', await write(inlet, 'a'));
  // As a standby has it that did not get the last writes.
  await query(url, "SELECT setval('inlet.stamps', 1)");
  await inlet.done('lost', await write(inlet, 'b'));
  await told(inlet, /an older copy of itself/);
  expect((await losses(config)).map(({ cause }) => cause)).toEqual(['older_queue']);
  await command(config, 'accept-loss');
  await noLonger(inlet);
});

test('a database that has forgotten what it was told is told, whoever has written since', async ({
  inlet,
  databaseUrl: url,
  config,
}) => {
  await inlet.done('lost', await write(inlet, 'a'));
  await waitFor('the database to be told', async () => {
    const [known] = await query(url, 'SELECT acknowledged FROM inlet.queue');
    return known?.['acknowledged'] !== null;
  });
  // As an older copy has it, whose stamps another process has raised already.
  await query(url, 'UPDATE inlet.queue SET acknowledged = NULL, drained = NULL');
  await told(inlet, /an older copy of itself/);
  expect((await losses(config)).map(({ cause }) => cause)).toEqual(['older_queue']);
  await command(config, 'accept-loss');
  await noLonger(inlet);
});
