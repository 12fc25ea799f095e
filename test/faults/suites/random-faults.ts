/**
 * Random faults, alone and in pairs, under load, and then the checker: two minutes of them with the deep tests;
 * `npm run test:faults` runs as long as it is told, with a seed where it is to be the same again.
 */
import { expect, it, onTestFinished } from 'vitest';
import { faultsOf } from '../faults.ts';
import { runRound } from '../round.ts';
import { report, runOptions } from '../run-options.ts';
import type { QueueName, World } from '../world.ts';
import { startWorld } from '../world.ts';
import { describeOn } from '../world-test.ts';

/** After so many rounds everything is begun anew: a small disk fills up. */
const ROUNDS_OF_A_WORLD = 12;

/** Longest time that a round may take, in milliseconds: faults, recovery, and everything that has to be stored then. */
const ROUND_MS = 240_000;

export function randomFaults(queue: QueueName): void {
  const { seed, minutes, only } = runOptions(process.env);

  describeOn(queue, 'random faults', () => {
    const timeout = minutes * 60_000 + ROUND_MS;
    it(`lose nothing, from seed ${seed}`, { timeout }, async () => {
      let world: World | undefined;
      onTestFinished(() => world?.close());
      const end = Date.now() + minutes * 60_000;
      for (let round = 0; round === 0 || Date.now() < end; round += 1) {
        if (round % ROUNDS_OF_A_WORLD === 0 || !world) {
          await world?.close();
          world = await startWorld({ queue, smallDisk: true });
        }
        if (round === 0) {
          const count = [...faultsOf(world, only).values()].flat().length;
          report(`${queue}: ${count} faults${world.disk ? '' : ', without a disk that can be filled'}`);
        }
        const { findings, ...result } = await runRound(world, seed + round, only);
        const found = findings.slice(0, 20);
        report(`${queue}: ${JSON.stringify({ ...result, findings: found })}`);
        expect(found, `seed ${result.seed}: ${result.faults}`).toEqual([]);
        // Where nothing was promised, nothing was tested.
        expect(result.counts.acknowledged, `seed ${result.seed}: ${result.faults}`).toBeGreaterThan(0);
      }
    });
  });
}
