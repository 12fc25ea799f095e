/** Connections that break the moment they are made, and each role as a process of its own. */
import { expectToSurvive } from '../support/broken-connections.ts';
import { inletTest } from '../support/fixtures.ts';

const test = inletTest();

test('do not end a worker or an API whose queue is in Postgres, also not while they stop', {
  timeout: 60_000,
}, async ({ databaseUrl }) => {
  await expectToSurvive(databaseUrl, 'worker', 'api');
});
