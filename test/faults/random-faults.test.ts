/**
 * Random faults, alone and in pairs, under load, and then the checker. A short run is part of all tests;
 * `npm run test:faults` runs as long as it is told, with a seed where it is to be the same again.
 */
import { afterAll, describe, expect, inject, it } from 'vitest';
import { faultsOf } from './faults.ts';
import { runRound } from './round.ts';
import { type RunOptions, report, runOptions } from './run-options.ts';
import type { World } from './world.ts';
import { startWorld } from './world.ts';

const options: RunOptions = runOptions(process.env);

/** After so many rounds everything is begun anew: a small disk fills up. */
const ROUNDS_OF_A_WORLD = 12;

/** Longest time that a round may take, in milliseconds: faults, recovery, and everything that has to be stored then. */
const ROUND_MS = 240_000;

for (const queue of ['redis', 'postgres'] as const) {
  describe.skipIf(queue === 'redis' && inject('redisUrl') === null)(
    `random faults (queue in ${queue})`,
    () => {
      let world: World | undefined;

      afterAll(async () => {
        await world?.close();
      });

      it(`lose nothing, from seed ${options.seed}`, {
        timeout: options.minutes * 60_000 + ROUND_MS,
      }, async () => {
        const end = Date.now() + (options.minutes * 60_000) / 2;
        for (let round = 0; round === 0 || Date.now() < end; round += 1) {
          if (round % ROUNDS_OF_A_WORLD === 0) {
            await world?.close();
            world = await startWorld({ queue, smallDisk: true });
            if (round === 0)
              report(
                `${queue}: ${faultsOf(world).length} faults${world.disk ? '' : ', no disk that can be filled'}`,
              );
          }
          if (!world) throw new Error('there is no world');
          const result = await runRound(world, options.seed + round);
          report(`${queue}: ${JSON.stringify({ ...result, findings: result.findings.slice(0, 20) })}`);
          expect(result.findings.slice(0, 20), `seed ${result.seed}: ${result.faults}`).toEqual([]);
        }
      });
    },
  );
}
