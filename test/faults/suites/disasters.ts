/**
 * Disasters that take what was acknowledged, or seem to, each under load: what may be lost is told, request by request where
 * that can be known, nothing else is lost, and everything goes on in order.
 */
import { expect, onTestFinished } from 'vitest';
import { canStepClocks } from '../../support/steppable-clock.ts';
import { waitFor } from '../../support/wait-for.ts';
import { check } from '../checker.ts';
import type { Disaster, Scene } from '../disasters.ts';
import {
  clockStepsBack,
  databaseFromCopy,
  databaseFromCopyUnseen,
  earlierVersionReplaced,
  queueEmptied,
  queueEmptiedUnseen,
  queueFromCopy,
  queueFromCopyUnseen,
  queueSwapped,
} from '../disasters.ts';
import { queueCommand, readEndState, settled, toldLosses } from '../end-state.ts';
import { recovered } from '../faults.ts';
import type { History, Operation } from '../history.ts';
import { Workload } from '../workload.ts';
import type { QueueName, World } from '../world.ts';
import { describeOn, worldTest } from '../world-test.ts';

const SEED = Date.now() % 1_000_000;

/** Writes that are acknowledged between two steps of a disaster. */
const LOAD = 30;

interface LossyDisaster {
  readonly name: string;
  readonly strike: Disaster;
  /** What Inlet says of it. */
  readonly cause: string;
  /** Whether processes run on that have acknowledged what is lost. */
  readonly remembered: boolean;
  /** Whether the clock of the queue's server does so before. */
  readonly stepsBack?: true;
}

const ON_REDIS: readonly LossyDisaster[] = [
  {
    name: 'a queue that is emptied',
    strike: queueEmptied,
    cause: 'queue_emptied',
    remembered: true,
  },
  {
    name: 'a queue that is emptied while no process runs, after its clock has stepped back',
    strike: queueEmptiedUnseen,
    cause: 'queue_emptied',
    remembered: false,
    stepsBack: true,
  },
  {
    name: 'a queue that comes back as an older copy, after its clock has stepped back',
    strike: queueFromCopy,
    cause: 'older_queue',
    remembered: true,
    stepsBack: true,
  },
  {
    name: 'a queue that comes back as an older copy while no process runs',
    strike: queueFromCopyUnseen,
    cause: 'older_queue',
    remembered: false,
  },
  {
    name: 'a database that comes back as an older copy',
    strike: databaseFromCopy,
    cause: 'older_database',
    remembered: true,
  },
  {
    name: 'a database that comes back as an older copy while no process runs',
    strike: databaseFromCopyUnseen,
    cause: 'older_database',
    remembered: false,
  },
];

/** The queue is restored with the database: that shows to processes alone that had more acknowledged. */
const ON_POSTGRES: readonly LossyDisaster[] = [
  {
    name: 'a database that comes back as an older copy, with the queue in it',
    strike: databaseFromCopy,
    cause: 'older_queue',
    remembered: true,
  },
];

export function disasters(queue: QueueName): void {
  const standIns = { [`queue/${queue}.js`]: `short-locks-${queue}` };
  const test = worldTest({ queue, standIns });
  describeOn(queue, 'disasters', () => {
    let runs = 0;

    /** Has clients write before, in and after something. */
    async function underLoad<T>(
      world: World,
      act: (scene: Scene) => Promise<T>,
    ): Promise<{ readonly history: History; readonly scene: Scene; readonly outcome: T }> {
      runs += 1;
      const namespace = `disaster-${runs}`;
      const workload = new Workload({
        urls: () => world.apis.map(({ url }) => url),
        ...{ namespace, seed: SEED + runs, clients: 4, pauseMs: 80, importPatienceMs: 5_000 },
        // What was seen of a database is not in its older copy.
        reads: false,
      });
      const load = async (): Promise<void> => {
        const { acknowledged } = workload;
        await waitFor('clients to be served', () => workload.acknowledged > acknowledged + LOAD, 60_000);
      };
      const scene = { world, namespace, load };
      onTestFinished(async () => void (await workload.stop()));
      await load();
      // Of the disaster before.
      await nobodyWarns(world);
      const outcome = await act(scene);
      await recovered(world);
      await load();
      const history = await workload.stop();
      await settled(world, history);
      return { history, scene, outcome };
    }

    async function findings({ world, namespace }: Scene, history: History) {
      const complaints = [...history.complaints];
      const end = await readEndState(world, namespace, history, complaints);
      complaints.push(...world.complaints());
      return { end, found: check({ ...history, complaints }, end).slice(0, 20) };
    }

    if (queue === 'redis') {
      test('processes of an earlier version that are replaced: nothing is lost', {
        timeout: 180_000,
      }, async ({ world }) => {
        const { history, scene } = await underLoad(world, earlierVersionReplaced);
        expect((await findings(scene, history)).found, `seed ${SEED}`).toEqual([]);
      });

      test("the queue of another Inlet in place of this one's: nothing is lost, and nothing gets across", {
        timeout: 180_000,
      }, async ({ world }) => {
        const { history, scene, outcome } = await underLoad(world, queueSwapped);
        expect(outcome).toEqual([]);
        expect((await findings(scene, history)).found, `seed ${SEED}`).toEqual([]);
      });
    }

    for (const disaster of queue === 'redis' ? ON_REDIS : ON_POSTGRES) {
      const { name, strike, cause, remembered, stepsBack } = disaster;
      test.skipIf(stepsBack && !canStepClocks)(
        `${name}: what is lost is told, and everything goes on`,
        { timeout: 180_000 },
        async ({ world }) => {
          onTestFinished(async () => {
            await world.clock?.step(0);
            await accept(world);
          });
          let clockBehindSince = Infinity;
          const { outcome, scene, ...ran } = await underLoad(world, async (scene) => {
            if (stepsBack) clockBehindSince = await clockStepsBack(scene);
            return strike(scene);
          });
          const allowedLosses = [{ ...outcome, remembered }];
          const history: History = { ...ran.history, allowedLosses, clockBehindSince };
          await everyoneWarns(world);
          const { end, found } = await findings(scene, history);
          const told = end.losses.map(({ requestIds: _, ...loss }) => loss);
          expect(found, `seed ${SEED}, ${JSON.stringify({ allowedLosses, told })}`).toEqual([]);
          expect(told.map((loss) => loss.cause)).toEqual([cause]);
          // Or nothing was tested.
          const stored = new Set(end.requests.map(({ requestId }) => requestId));
          const isGone = ({ outcome, requestId }: Operation): boolean =>
            outcome === 'acknowledged' && !stored.has(requestId ?? '');
          expect(history.operations.some(isGone)).toBe(true);
        },
      );
    }
  });
}

async function warningsOf(member: World['workers'][number]): Promise<readonly string[]> {
  return ((await (await member.ask('readyz')).json()) as { warnings?: string[] }).warnings ?? [];
}

const membersOf = ({ apis, workers }: World) => [...apis, ...workers];

/** Waits until every process tells of a loss. */
async function everyoneWarns(world: World): Promise<void> {
  for (const member of membersOf(world)) {
    await waitFor(`${member.name} to tell of the loss`, async () =>
      (await warningsOf(member)).some((line) => line.includes('may be lost')),
    );
  }
}

/** Has an operator accept what is lost. */
async function accept(world: World): Promise<void> {
  expect((await queueCommand(world, 'accept-loss')).code).toBe(0);
  expect(await toldLosses(world)).toEqual([]);
}

/** Waits until no process tells of a loss that was accepted. */
async function nobodyWarns(world: World): Promise<void> {
  for (const member of membersOf(world)) {
    await waitFor(`${member.name} to stop warning`, async () =>
      (await warningsOf(member)).every((line) => !line.includes('may be lost')),
    );
  }
}
