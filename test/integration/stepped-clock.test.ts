/** The clock of the queue's server steps back and forward: what was sent later wins all the same, and nothing is dropped. */
import { Redis } from 'ioredis';
import { describe, expect, inject, onTestFinished } from 'vitest';
import type { QueueConfig } from '../../src/runtime.ts';
import { freshDatabase, inletTest, startInlet } from '../support/fixtures.ts';
import { importFile } from '../support/imports.ts';
import type { QueueName } from '../support/inlet.ts';
import { prepare, testConfig } from '../support/inlet.ts';
import { databaseUrl, query, startPostgres } from '../support/postgres.ts';
import { openProvider, whenConnected } from '../support/queues.ts';
import { startRedis } from '../support/redis.ts';
import type { SteppableClock } from '../support/steppable-clock.ts';
import { canStepClocks, steppableClock } from '../support/steppable-clock.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest();
const HOUR_MS = 3_600_000;

/** Settings of an Inlet whose queue's server has a clock that can be stepped. */
async function onSteppableClock(queue: QueueName): Promise<{ config: QueueConfig; clock: SteppableClock }> {
  const clock = await steppableClock();
  onTestFinished(() => clock.remove());
  const { environment } = clock;
  if (queue === 'redis') {
    const redis = await startRedis({ environment });
    onTestFinished(() => redis.stop());
    return { config: testConfig({ databaseUrl: await freshDatabase(), redisUrl: redis.url }), clock };
  }
  const postgres = await startPostgres({ environment });
  onTestFinished(() => postgres.stop());
  await query(postgres.url, 'CREATE DATABASE stepped');
  const config = testConfig({ databaseUrl: databaseUrl(postgres.url, 'stepped') });
  return { config: await prepare(config), clock };
}

for (const queue of ['redis', 'postgres'] as const) {
  describe.skipIf(!canStepClocks || (queue === 'redis' && inject('redisUrl') === null))(
    `a clock that steps (queue in ${queue})`,
    () => {
      test('loses and reorders nothing', async () => {
        const { config, clock } = await onSteppableClock(queue);
        const [one, other] = [await startInlet(config), await startInlet(config, { workers: 0 })];
        const send = async (body: object) =>
          (await one.done('ns', await one.write('ns', JSON.stringify(body)))).status;
        let v = 0;
        for (const step of [0, -1_000, -HOUR_MS, 0, HOUR_MS, 0, -HOUR_MS]) {
          await clock.step(step);
          for (const api of [one, other, one]) {
            v += 1;
            const data = [
              { id: 'x', v },
              { id: 'y', v },
            ];
            const id = await api.write(
              'ns',
              JSON.stringify({ data, schema: { [`f${v}`]: { content_type: 'datetime' } } }),
            );
            expect((await api.done('ns', id)).status).toBe('succeeded');
            expect((await one.object('ns', 'x'))?.data, `after a step to ${step} ms`).toEqual({ id: 'x', v });
          }
          const settings = (await (await one.fetch('/v1/data/ns/settings')).json()) as {
            schema: object;
          };
          expect(Object.keys(settings.schema)).toEqual([`f${v}`]);
          // The last line of an id wins over the others, and a later write over all of them.
          const lines = Array.from({ length: 2_500 }, (_, i) => `{"id":"z","v":${i}}\n`).join('');
          const importId = await importFile(one, 'ns', lines);
          expect((await one.done('ns', importId)).status).toBe('succeeded');
          expect((await one.object('ns', 'z'))?.data).toEqual({ id: 'z', v: 2_499 });
          expect(await send({ data: { id: 'z', v: 'later' } })).toBe('succeeded');
          expect((await one.object('ns', 'z'))?.data).toEqual({ id: 'z', v: 'later' });
          const deleted = await one.fetch('/v1/data/ns/objects/y', { method: 'DELETE' });
          const { requestId } = (await deleted.json()) as { requestId: string };
          await one.done('ns', requestId);
          expect(await one.object('ns', 'y')).toBeUndefined();
        }
      });

      // In Postgres a lock ends by the clock of the workers.
      const onRedis = queue === 'redis' ? test : () => undefined;
      onRedis('leaves no lock of a worker behind for as long as the step was', async () => {
        const { config, clock } = await onSteppableClock(queue);
        const inlet = await startInlet(config);
        const redis = new Redis(config.redisUrl ?? '');
        onTestFinished(() => redis.disconnect());
        const prefix = `${config.redisPrefix}:${config.queueId}:inlet`;
        const longest = async () => {
          const keys = await redis.keys(`${prefix}*`);
          return Math.max(...(await Promise.all(keys.map((key) => redis.pttl(key)))));
        };
        await clock.step(HOUR_MS);
        await inlet.done('ns', await inlet.write('ns', '{"data":{"id":"x"}}'));
        // As a worker that dies now leaves it.
        await redis.rpush(`${prefix}:active`, 'batch-left');
        await redis.set(`${prefix}:batch-left:lock`, 'token', 'PX', 10_000);
        await waitFor('somebody to look for lost jobs', async () => {
          return (await redis.pttl(`${prefix}:stalled-check`)) > 0;
        });
        await clock.step(0);
        expect(await longest()).toBeGreaterThan(HOUR_MS / 2);
        await waitFor('no key to stay for longer than it should', async () => (await longest()) < 15_000);
      });

      test('gives stamps that rise, over several connections at once', async () => {
        const { config, clock } = await onSteppableClock(queue);
        const queues = Array.from({ length: 3 }, () => openProvider(config).openQueue());
        onTestFinished(async () => void (await Promise.all(queues.map((each) => each.close()))));
        let last = 0;
        for (const step of [0, -HOUR_MS, HOUR_MS, -1_000]) {
          await clock.step(step);
          for (let i = 0; i < 20; i += 1) {
            const taken = await Promise.all(queues.map((each) => whenConnected(() => each.stamp())));
            const stamps = taken.map(({ stamp }) => stamp);
            expect(Math.min(...stamps)).toBeGreaterThan(last);
            last = Math.max(...stamps);
            // For people it is the clock's own time.
            for (const { acceptedAt } of taken)
              expect(Math.abs(acceptedAt / 1_000 - step - Date.now())).toBeLessThan(60_000);
          }
        }
      });
    },
  );
}
