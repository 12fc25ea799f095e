/** Every fault once, one after the other under load, and then the checker: the short form of the random faults. */
import { expect } from 'vitest';
import { waitFor } from '../../support/wait-for.ts';
import { check } from '../checker.ts';
import { readEndState, settled } from '../end-state.ts';
import type { Fault } from '../faults.ts';
import { faultsOf, recovered } from '../faults.ts';
import { Workload } from '../workload.ts';
import type { QueueName } from '../world.ts';
import { describeOn, worldTest } from '../world-test.ts';

/** How long a fault lasts, in milliseconds. */
const LASTS_MS = 300;

/** A worker is frozen for longer than it holds its jobs (test/faults/stand-ins/short-locks.mjs), in milliseconds. */
const FROZEN_MS = 3_500;

export function everyFault(queue: QueueName): void {
  const standIns = { [`queue/${queue}.js`]: `short-locks-${queue}` };
  const test = worldTest({ queue, apis: 1, standIns });
  describeOn(queue, 'every fault once', () => {
    test('nothing acknowledged is lost, torn or put back', { timeout: 180_000 }, async ({ world }) => {
      // What happens to the second worker is what happens to the first. Its faults come while the other is there.
      const faults = [...faultsOf(world, /^(?!.*worker1)/).values()].flat();
      faults.sort((a, b) => Number(isWorker(b)) - Number(isWorker(a)));
      const workload = new Workload({
        urls: () => world.apis.map(({ url }) => url),
        ...{ namespace: 'every-fault', seed: 1, clients: 4, pauseMs: 60 },
      });
      for (const fault of faults) {
        const acknowledged = workload.acknowledged;
        // Or it would find nothing at work.
        await waitFor('clients to be served', () => workload.acknowledged > acknowledged, 60_000);
        await fault.run(lastsMs(fault));
      }
      await recovered(world);
      const history = await workload.stop();
      await settled(world, history);
      const complaints = [...history.complaints];
      const end = await readEndState(world, 'every-fault', history, complaints);
      complaints.push(...world.complaints());
      expect(check({ ...history, complaints }, end).slice(0, 20)).toEqual([]);
      expect(workload.acknowledged).toBeGreaterThan(100);
    });
  });
}

function isWorker({ target }: Fault): boolean {
  return target === 'worker0';
}

function lastsMs(fault: Fault): number {
  return fault.kind === 'freeze' && isWorker(fault) ? FROZEN_MS : LASTS_MS;
}
