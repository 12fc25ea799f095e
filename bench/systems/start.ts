/** Starts the machine's services and the systems on them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../machine/postgres.ts';
import { startRedis } from '../machine/redis.ts';
import { startDirect, startDrop, startTextbook } from './alternatives.ts';
import { startEmbedded } from './embedded.ts';
import { startInlet } from './inlet.ts';
import type { Machine, System, SystemKey } from './system.ts';
import { stopAll } from './system.ts';

/** Systems that run, idle until they are measured. */
export interface RunningSystems {
  readonly machine: Machine;
  readonly get: (key: SystemKey) => System;
  stop(): Promise<void>;
}

/** @param keys which are wanted; (f) writes into the database of (a), which is started for it */
export async function startSystems(
  keys: ReadonlySet<SystemKey>,
  options: Pick<Machine, 'profileDir' | 'logLevel'>,
): Promise<RunningSystems> {
  const steps: (() => Promise<unknown>)[] = [];
  const stop = (): Promise<void> => stopAll(steps.splice(0));
  try {
    const folder = await mkdtemp(join(tmpdir(), 'inlet-bench-'));
    steps.push(() => rm(folder, { recursive: true, force: true }));
    const postgres = await startPostgres(folder);
    steps.push(() => postgres.stop());
    const redis = await startRedis(folder);
    steps.push(() => redis.stop());
    const machine: Machine = { ...options, folder, postgres, redis };

    const systems = new Map<SystemKey, System>();
    for (const [key, start] of Object.entries(STARTS) as [keyof typeof STARTS, Start][]) {
      if (!keys.has(key) && !(key === 'a' && keys.has('f'))) continue;
      const system = await start(machine);
      steps.push(() => system.stop());
      systems.set(key, system);
    }
    const inlet = systems.get('a');
    if (inlet?.store && keys.has('f')) {
      const processes = { postgres: postgres.pid };
      systems.set('f', { key: 'f', store: inlet.store, processes, stop: async () => undefined });
    }
    const get = (key: SystemKey): System => {
      const system = systems.get(key);
      if (!system) throw new Error(`(${key}) was not started`);
      return system;
    };
    return { machine, get, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Start = (machine: Machine) => Promise<System>;

const STARTS: Readonly<Record<Exclude<SystemKey, 'f'>, Start>> = {
  a: (machine) => startInlet(machine, 'a'),
  a0: (machine) => startInlet(machine, 'a0'),
  b: startEmbedded,
  c: startTextbook,
  d: startDirect,
  e: startDrop,
};
