/** Evaluation where workers are killed, in great numbers, and in processes of their own. */
import { expect, onTestFinished } from 'vitest';
import { requestIdAt } from '../../src/domain/request-id.ts';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import {
  checkManyRequests,
  EVALUATING,
  EVALUATOR,
  insertPausedEndpoint,
  NS,
  resultsOf,
} from '../support/evaluated.ts';
import { describeOnBothQueues, inletTest } from '../support/fixtures.ts';
import { redisUrlOf } from '../support/inlet.ts';
import { InletProcess, runInlet } from '../support/process.ts';
import { waitFor } from '../support/wait-for.ts';
import { deliveryRows } from '../support/webhooks.ts';

const test = inletTest();

describeOnBothQueues(
  'evaluation',
  (test) => {
    test.beforeEach(async ({ store: { database } }) => {
      await database.query({ text: 'DELETE FROM inlet.webhook_deliveries' });
    });

    test('is done as well for what never got into the queue, by workers that were there before', async ({
      inlet,
      store: { database },
    }) => {
      const batch = handMadeBatch(Date.now() * 1_000, [{ namespace: NS, objects: [object('unqueued')] }]);
      await storeBatch(database, batch, { onWaiting: () => undefined });
      const [result] = await resultsOf(inlet, requestIdAt(batch.id, 0));
      expect(result?.output.labels).toEqual(['seen']);
    });

    test('comes to an end for 5,000 objects in many requests, each evaluated and told of once', async ({
      inlet,
      store: { database },
    }) => {
      await checkManyRequests(inlet, database, 500);
    }, 120_000);
  },
  EVALUATING,
);

describeOnBothQueues(
  'a worker with an evaluator',
  (test, queue) => {
    test('that is killed in the middle leaves nothing behind that is not evaluated', async ({
      inlet,
      config,
      store: { database },
    }) => {
      const startProcess = (): InletProcess => {
        const redisUrl = redisUrlOf(queue);
        const worker = new InletProcess(['worker'], {
          ...{
            DATABASE_URL: config.databaseUrl,
            INLET_REDIS_PREFIX: config.redisPrefix,
            INLET_WORKER_PORT: '0',
          },
          ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
          ...{ INLET_EVALUATOR: EVALUATOR, INLET_EVALUATOR_CONCURRENCY: '4' },
        });
        onTestFinished(() => worker.close());
        return worker;
      };
      const first = startProcess();
      const objects = Array.from({ length: 300 }, (_, i) => ({ id: `k${i}`, do: 'wait', ms: 50 }));
      const requests = [
        await inlet.write('killed', JSON.stringify({ data: objects.slice(0, 200) })),
        ...(await Promise.all(
          objects.slice(200).map((object) => inlet.write('killed', JSON.stringify({ data: object }))),
        )),
      ];
      const evaluated = async (): Promise<number> =>
        (await database.query({ text: 'SELECT 1 FROM inlet.outputs' })).length;
      await waitFor('some outputs', async () => (await evaluated()) > 30);
      await first.kill('SIGKILL');
      const before = await evaluated();
      expect(before).toBeLessThan(300);
      startProcess();
      const isDone = async (requestId: string): Promise<boolean> =>
        (await inlet.status('killed', requestId)).status === 'succeeded';
      await Promise.all(requests.map((id) => waitFor(`request ${id} to succeed`, () => isDone(id), 60_000)));
      expect(await evaluated()).toBe(300);
      const rows = await deliveryRows(database);
      expect(new Set(rows.map(({ object_id }) => object_id)).size).toBe(300);
      expect(rows).toHaveLength(300);
      expect(rows.every(({ output }) => output?.includes('waited'))).toBe(true);
    }, 120_000);
  },
  { workers: 0, prepare: insertPausedEndpoint },
);

test('inlet worker refuses to start with an evaluator that cannot be used, in one line', async ({
  databaseUrl,
}) => {
  const { code, stderr } = await runInlet(['worker'], {
    ...{ DATABASE_URL: databaseUrl, INLET_WORKER_PORT: '0', INLET_EVALUATOR: './no-such-file.mjs' },
  });
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^inlet: INLET_EVALUATOR is "\.\/no-such-file\.mjs", which cannot be used as an evaluator: .*Cannot find module[^\n]*\n$/,
  );
});
