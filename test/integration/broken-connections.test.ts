/** Connections to Postgres that break the moment they are made, as they do while its administrator ends them all. */
import { expectToSurvive } from '../support/broken-connections.ts';
import { inletTest } from '../support/fixtures.ts';

const test = inletTest();

test('do not end a worker or an API whose queue is in Postgres, also not while they stop', async ({
  databaseUrl,
}) => {
  await expectToSurvive(databaseUrl, 'serve');
});
