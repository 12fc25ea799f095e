/** Replays as jobs of the queue: beside writes, and after a restart. */
import pg from 'pg';
import { expect, onTestFinished } from 'vitest';
import { callFailed, failedIndexes, replay } from '../support/failed.ts';
import { describeOnBothQueues, startInlet } from '../support/fixtures.ts';
import { query } from '../support/postgres.ts';
import { prepareRefusals, refuse } from '../support/refusals.ts';
import { waitFor } from '../support/wait-for.ts';

/** On a database that refuses some, until it is told otherwise. */
const REFUSING = {
  prepare: async (databaseUrl: string) => {
    await prepareRefusals(databaseUrl);
    await refuse(databaseUrl, 'now');
  },
};

describeOnBothQueues(
  'a replay that takes long',
  (test) => {
    test('keeps no writes waiting that its worker has in hand', async ({ inlet, databaseUrl }) => {
      await inlet.done('w', await inlet.write('w', '{"data":{"id":"a","refuse":"now"}}'));
      const client = new pg.Client({ connectionString: databaseUrl });
      await client.connect();
      onTestFinished(() => client.end());
      await client.query('BEGIN; SELECT FROM inlet.failed_objects FOR UPDATE');
      await refuse(databaseUrl);
      await replay(inlet, 'w', '/replay');
      const waiting = `SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%failed_objects%'`;
      await waitFor('the replay to wait', async () => (await query(databaseUrl, waiting)).length > 0);
      const { status } = await inlet.done('w', await inlet.write('w', '{"data":{"id":"b"}}'));
      expect(status).toBe('succeeded');
      expect(await failedIndexes(inlet, 'w')).toEqual([0]);
    });
  },
  { ...REFUSING, settings: { workerConcurrency: 1 } },
);

describeOnBothQueues(
  'a replay that waits in the queue',
  (test) => {
    test('is there after a restart, and does not store what is discarded meanwhile', async ({
      config,
      databaseUrl,
    }) => {
      const first = await startInlet(config, { workers: 0 });
      const stop = await first.addWorker();
      const requestId = await first.write(
        'w',
        '{"data":[{"id":"a","refuse":"now"},{"id":"b","refuse":"now"}]}',
      );
      await first.done('w', requestId);
      await stop();
      await refuse(databaseUrl);
      expect(await replay(first, 'w', '/replay')).toMatchObject({ objects: 2 });
      await first.close();

      const second = await startInlet(config, { workers: 0 });
      expect(await failedIndexes(second, 'w')).toEqual([0, 1]);
      expect((await callFailed(second, 'DELETE', 'w', `/${requestId}/0`)).status).toBe(200);
      await second.addWorker();
      await waitFor('the replay', async () => (await failedIndexes(second, 'w')).length === 0);
      expect(await second.object('w', 'a')).toBeUndefined();
      expect(await second.object('w', 'b')).toBeDefined();
      // The list of requests passes over jobs that are none.
      expect((await second.fetch('/v1/data/w/requests')).status).toBe(200);
    });
  },
  REFUSING,
);
