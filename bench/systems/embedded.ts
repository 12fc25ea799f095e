/** (b): Inlet in one process with a Postgres of its own, which has the queue too: what `npm start` runs. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { findEmbeddedUrl } from '../../src/store/embedded-url.ts';
import { noteCommitTimes, postmasterPid } from '../machine/postgres.ts';
import { Store } from '../store.ts';
import { INLET } from './inlet.ts';
import type { Machine, NodeProcess, System } from './system.ts';
import { API_KEY, startNode, stopAll } from './system.ts';

export async function startEmbedded(machine: Machine): Promise<System> {
  const dataDir = join(machine.folder, 'b');
  await mkdir(dataDir);
  const env = { INLET_API_KEYS: API_KEY, INLET_DATA_DIR: dataDir, LOG_LEVEL: machine.logLevel };
  const start = (): Promise<NodeProcess> => startNode(machine, 'b-serve', [INLET, 'serve'], env);
  const first = await start();
  await noteCommitTimes(await databaseUrl(dataDir));
  await first.child.stop();
  const { child, url } = await start();
  const store = new Store(await databaseUrl(dataDir), 'inlet');
  return {
    key: 'b',
    url,
    store,
    processes: { serve: child.pid, postgres: await postmasterPid(dataDir) },
    stop: () => stopAll([() => child.stop(), () => store.close()]),
  };
}

async function databaseUrl(dataDir: string): Promise<string> {
  const url = await findEmbeddedUrl(dataDir);
  if (url === undefined) throw new Error(`no Postgres runs on ${dataDir}`);
  return url;
}
