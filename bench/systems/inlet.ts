/** (a): Inlet with its API and its worker as processes of their own, and the queue in Redis; (a0) keeps no history. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../machine/children.ts';
import { Store } from '../store.ts';
import type { Machine, System } from './system.ts';
import { API_KEY, startNode, stopAll } from './system.ts';

/** The build of `npm run build`; this file runs from bench/dist/bench/systems. */
export const INLET = fileURLToPath(new URL('../../../../dist/cli.js', import.meta.url));

/** @param settings further settings of Inlet */
export async function startInlet(
  machine: Machine,
  key: 'a' | 'a0',
  settings: Readonly<Record<string, string>> = {},
): Promise<System> {
  const { postgres, redis, logLevel } = machine;
  const url = await postgres.createDatabase(`inlet_${key}`);
  const dataDir = join(machine.folder, key);
  await mkdir(dataDir);
  const env: Record<string, string> = {
    DATABASE_URL: url,
    REDIS_URL: redis.url,
    INLET_REDIS_PREFIX: `inlet-${key}`,
    INLET_API_KEYS: API_KEY,
    INLET_DATA_DIR: dataDir,
    LOG_LEVEL: logLevel,
    ...(key === 'a0' ? { INLET_HISTORY_LIMIT: '0' } : {}),
    ...settings,
  };
  await runCommand({ command: process.execPath, args: [INLET, 'migrate'], env });
  const worker = await startNode(machine, `${key}-worker`, [INLET, 'worker'], env, 'INLET_WORKER_PORT');
  const api = await startNode(machine, `${key}-api`, [INLET, 'api'], env);
  const store = new Store(url, 'inlet');
  return {
    key,
    url: api.url,
    store,
    processes: { api: api.child.pid, worker: worker.child.pid, redis: redis.pid, postgres: postgres.pid },
    stop: () => stopAll([() => worker.child.stop(), () => api.child.stop(), () => store.close()]),
  };
}
