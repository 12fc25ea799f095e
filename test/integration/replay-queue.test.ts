/** Replays as jobs of the queue: beside writes, and after a restart. */
import pg from 'pg';
import { expect, onTestFinished } from 'vitest';
import { REPLAY_VERSION } from '../../src/domain/batch.ts';
import { newBatchId } from '../support/batches.ts';
import { callFailed, failedIndexes, replay } from '../support/failed.ts';
import { describeOnBothQueues, startInlet } from '../support/fixtures.ts';
import type { TestInlet } from '../support/inlet.ts';
import { query } from '../support/postgres.ts';
import { depthOf, openBackend, openProvider } from '../support/queues.ts';
import { prepareRefusals, refuse } from '../support/refusals.ts';
import { waitFor } from '../support/wait-for.ts';

/** On a database that refuses some, until it is told otherwise. */
const REFUSING = {
  prepare: async (databaseUrl: string) => {
    await prepareRefusals(databaseUrl);
    await refuse(databaseUrl, 'now');
  },
};

/** One worker has this many batches in hand of `INLET_WORKER_CONCURRENCY=1`. */
const IN_HAND = 4;

describeOnBothQueues(
  'replays that wait',
  (test) => {
    /** Has one object that failed, and keeps every replay from going on. @returns what ends that */
    async function holdReplays(inlet: TestInlet, databaseUrl: string, namespace: string) {
      await refuse(databaseUrl, 'now');
      await inlet.done(namespace, await inlet.write(namespace, '{"data":{"id":"a","refuse":"now"}}'));
      const client = new pg.Client({ connectionString: databaseUrl });
      await client.connect();
      onTestFinished(() => client.end());
      await client.query('BEGIN; SELECT FROM inlet.failed_objects FOR UPDATE');
      await refuse(databaseUrl);
      return () => client.query('ROLLBACK');
    }

    const oneWaits = (databaseUrl: string) =>
      waitFor('a replay to wait', async () => {
        const waiting = `SELECT FROM pg_stat_activity
          WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%failed_objects%'`;
        return (await query(databaseUrl, waiting)).length > 0;
      });

    /** A write is stored though no replay goes on, and all are done when they may. */
    async function expectStored(inlet: TestInlet, namespace: string, release: () => Promise<unknown>) {
      const { status } = await inlet.done(namespace, await inlet.write(namespace, '{"data":{"id":"b"}}'));
      expect(status).toBe('succeeded');
      expect(await failedIndexes(inlet, namespace)).toEqual([0]);
      await release();
      await waitFor('the replays', async () => (await failedIndexes(inlet, namespace)).length === 0);
      const queue = openProvider(inlet.config).openQueue();
      onTestFinished(() => queue.close());
      await waitFor('an empty queue', async () => (await depthOf(queue)) === 0);
    }

    test('hold no write up, however many they are', async ({ inlet, databaseUrl }) => {
      const release = await holdReplays(inlet, databaseUrl, 'many');
      for (let i = 0; i <= IN_HAND; i += 1) await replay(inlet, 'many', '/replay');
      await oneWaits(databaseUrl);
      await expectStored(inlet, 'many', release);
    });

    test('leave the lane of writes where an earlier version has put them', async ({ inlet, databaseUrl }) => {
      const release = await holdReplays(inlet, databaseUrl, 'old');
      const producer = openBackend(inlet.config).openProducer();
      onTestFinished(() => producer.close());
      await waitFor('the queue to be connected', () => producer.isConnected());
      const jobs = producer.createQueue('writes');
      onTestFinished(() => jobs.close());
      const payload = {
        ...{ version: REPLAY_VERSION, acceptedAt: Date.now() * 1_000, requests: [], objects: '' },
        replay: { namespace: 'old', order: 'original', failedBefore: (Date.now() + 60_000) * 1_000 },
      };
      await jobs.addBulk(
        Array.from({ length: IN_HAND + 1 }, () => ({
          ...{ name: 'batch', data: payload },
          opts: { jobId: `batch-${newBatchId()}`, attempts: 1_000, removeOnComplete: true },
        })),
      );
      await oneWaits(databaseUrl);
      await expectStored(inlet, 'old', release);
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
