/** Upgrades without a stop: processes are replaced one after the other under load. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { check } from '../checker.ts';
import { readEndState, settled } from '../end-state.ts';
import { LoadBalancer } from '../load-balancer.ts';
import { Workload } from '../workload.ts';
import type { QueueName } from '../world.ts';
import { describeOn, worldTest } from '../world-test.ts';

export function upgrades(queue: QueueName): void {
  const test = worldTest({ queue, environment: { INLET_DRAIN_TIME: '2s' } });
  describeOn(queue, 'an upgrade', () => {
    test('of two APIs and two workers, one after the other under load, loses and refuses nothing', {
      timeout: 180_000,
    }, async ({ onTestFinished, world }) => {
      const balancer = await LoadBalancer.start(world.apis.map(({ directUrl }) => directUrl));
      onTestFinished(() => balancer.close());
      const namespace = 'rolling';
      const workload = new Workload({
        urls: () => balancer.ready,
        namespace,
        seed: 1,
        imports: false,
        pauseMs: 20,
      });
      for (const member of [...world.apis, ...world.workers]) {
        await delay(500);
        await member.restart();
        await member.ready();
        // As long as the load balancer takes to notice.
        await delay(500);
      }
      const history = await workload.stop();
      await settled(world, history);
      const complaints = [...history.complaints];
      const end = await readEndState(world, namespace, history, complaints);
      complaints.push(...world.complaints());
      expect(check({ ...history, complaints }, end).slice(0, 20)).toEqual([]);
      const refused = history.operations.filter(({ outcome }) => outcome !== 'acknowledged');
      expect(refused.map(({ answer, kind }) => `${kind}: ${answer}`)).toEqual([]);
      expect(history.operations.length).toBeGreaterThan(50);
    });
  });
}
