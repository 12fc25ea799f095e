/**
 * The proof of the proof: builds that break one promise each are caught by the checker, and the real one isn't. A broken
 * build is the real command with one module exchanged (see preload/exchange.mjs).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { canStepClocks } from '../../support/steppable-clock.ts';
import { check } from '../checker.ts';
import { queueSwapped } from '../disasters.ts';
import { queueCommand, readEndState, settled } from '../end-state.ts';
import { recovered } from '../faults.ts';
import type { Finding } from '../findings.ts';
import { whileStoring } from '../while-storing.ts';
import { Workload } from '../workload.ts';
import type { QueueName, World } from '../world.ts';
import { describeOn, worldTest } from '../world-test.ts';

const SEED = Date.now() % 1_000_000;

/** A build that takes less is broken in another way than it is meant to be. */
const LEAST_ACKNOWLEDGED = 20;

/** The queue's server dies while clients write. */
async function killQueue({ redis, postgres }: World): Promise<void> {
  const server = redis ?? postgres;
  await server.kill(redis ? 'SIGKILL' : 'SIGQUIT');
  await delay(1_000);
  await server.start();
}

/** All workers die while they store. */
async function killWorkers({ workers, postgres }: World): Promise<void> {
  await whileStoring(postgres.url, () => Promise.all(workers.map((worker) => worker.kill())));
  for (const worker of workers) worker.start();
}

/** One worker takes longer than the other for what it has taken first. */
async function slowWorker({ links }: World): Promise<void> {
  links.get('worker0-postgres')?.slow(250);
  await delay(3_000);
  links.get('worker0-postgres')?.heal();
}

/** The clock of the queue's server steps back while clients write, and stays there. */
async function stepClockBack({ clock }: World): Promise<void> {
  await clock?.step(-20_000);
  await delay(2_000);
}

/** The same while what one API sends arrives late, and its own clock is behind. */
async function crossStamps(world: World): Promise<void> {
  const [api] = world.apis;
  const link = world.links.get('api0-redis');
  link?.slow(60);
  await api?.setClock(-3_600_000);
  await stepClockBack(world);
  link?.heal();
  await api?.setClock(0);
}

/** What test/faults/stand-ins/no-identity.mjs takes for its own. */
const SAME_QUEUE = { redisPrefix: 'same', queueId: 'same' };

/** Another Inlet's queue in place of this one's, for a while. */
async function swapQueue(world: World, namespace: string): Promise<void> {
  await queueSwapped({ world, namespace }, SAME_QUEUE);
}

/** What only a queue with stamps in its keys can break. */
const BROKEN_ON_REDIS = [
  ...(canStepClocks
    ? [
        {
          name: 'raises the greatest stamp without a condition',
          modules: { 'queue/redis-scripts.js': 'plain-raise' },
          scenario: crossStamps,
          rule: 'false alarm',
        },
        {
          name: 'raises the greatest stamp after the acknowledgement',
          modules: { 'queue/redis.js': 'raise-after-add' },
          scenario: crossStamps,
          rule: 'false alarm',
        },
      ]
    : []),
  {
    name: 'does not know whose queue it is',
    modules: { 'queue/redis.js': 'no-identity' },
    scenario: swapQueue,
    rule: 'lost',
  },
];

const BROKEN = (queue: QueueName) => [
  ...(canStepClocks
    ? [
        {
          name: "orders writes by the clock of the queue's server",
          modules: { [`queue/${queue}.js`]: `no-stamp-${queue}` },
          scenario: stepClockBack,
          rule: 'accepted out of order',
        },
        {
          name: 'has the chunks of an import overtake what comes after it',
          modules: { 'domain/batch.js': 'stamp-plus-chunk' },
          scenario: stepClockBack,
          rule: 'accepted out of order',
        },
      ]
    : []),
  ...(queue === 'redis' ? BROKEN_ON_REDIS : []),
  {
    name: 'acknowledges before the enqueue',
    modules: { 'ingest/observed-queue.js': 'acknowledge-before-enqueue' },
    scenario: killQueue,
    rule: 'lost',
  },
  {
    name: 'completes a job before the commit',
    modules: { 'ingest/worker.js': 'complete-before-commit' },
    scenario: killWorkers,
    rule: 'lost',
  },
  {
    name: 'has no order guard',
    modules: { 'store/objects.js': 'no-order-guard' },
    scenario: slowWorker,
    rule: 'went back',
  },
];

export function brokenBuilds(queue: QueueName): void {
  const test = worldTest({ queue });
  describeOn(queue, 'a build', () => {
    let rounds = 0;

    async function findingsOf(
      world: World,
      modules: Readonly<Record<string, string>>,
      scenarios: readonly ((world: World, namespace: string) => Promise<void>)[],
    ): Promise<readonly Finding[]> {
      const members = [...world.apis, ...world.workers];
      await Promise.all(members.map((member) => member.restart(modules)));
      await recovered(world);
      await world.clock?.step(0);
      // What Inlet had to say of the build before.
      await queueCommand(world, 'accept-loss');
      rounds += 1;
      const namespace = `build-${rounds}`;
      const workload = new Workload({
        urls: () => world.apis.map(({ url }) => url),
        ...{ namespace, seed: SEED + rounds, pauseMs: 10, importPatienceMs: 5_000 },
      });
      onTestFinished(async () => void (await workload.stop()));
      for (const scenario of scenarios) {
        await delay(500);
        await scenario(world, namespace);
        await recovered(world);
      }
      const history = await workload.stop();
      // Where nothing was promised, nothing was tested.
      expect(workload.acknowledged).toBeGreaterThan(LEAST_ACKNOWLEDGED);
      await settled(world, history);
      const complaints = [...history.complaints];
      const end = await readEndState(world, namespace, history, complaints);
      complaints.push(...world.complaints());
      return check({ ...history, complaints }, end);
    }

    for (const { name, modules, scenario, rule } of BROKEN(queue)) {
      test(`that ${name} is caught`, { timeout: 120_000 }, async ({ world }) => {
        const found = await findingsOf(world, modules, [scenario]);
        expect(
          found.map((finding) => finding.rule),
          `seed ${SEED}`,
        ).toContain(rule);
      });
    }

    test('that is the real one passes, whatever catches those', { timeout: 180_000 }, async ({ world }) => {
      const found = await findingsOf(world, {}, [
        killQueue,
        killWorkers,
        slowWorker,
        stepClockBack,
        crossStamps,
      ]);
      expect(found.slice(0, 20), `seed ${SEED}`).toEqual([]);
    });
  });
}
