/** (c), (d) and (e): what one would build instead of Inlet, and the server that does nothing with the data. */
import { runSql } from '../machine/postgres.ts';
import type { PlainServer } from '../servers/settings.ts';
import { CREATE_TABLE } from '../servers/table.ts';
import { Store } from '../store.ts';
import type { Machine, NodeProcess, System } from './system.ts';
import { API_KEY, serverProgram, startNode, stopAll } from './system.ts';

/** (c): Fastify, and one BullMQ job for each request on the same Redis; a worker stores them. */
export async function startTextbook(machine: Machine): Promise<System> {
  const url = await database(machine, 'textbook');
  const worker = await start(machine, 'textbook-worker', url);
  const api = await start(machine, 'textbook-api', url);
  const { redis, postgres } = machine;
  const store = new Store(url, 'plain');
  return {
    key: 'c',
    url: api.url,
    store,
    processes: { api: api.child.pid, worker: worker.child.pid, redis: redis.pid, postgres: postgres.pid },
    stop: () => stopAll([() => worker.child.stop(), () => api.child.stop(), () => store.close()]),
  };
}

/** (d): Fastify, and one statement for each request, which is answered after the commit. */
export async function startDirect(machine: Machine): Promise<System> {
  const url = await database(machine, 'direct');
  const api = await start(machine, 'direct-api', url);
  const store = new Store(url, 'plain');
  return {
    key: 'd',
    url: api.url,
    store,
    processes: { api: api.child.pid, postgres: machine.postgres.pid },
    stop: () => stopAll([() => api.child.stop(), () => store.close()]),
  };
}

/** (e): Fastify with Inlet's own checks, which answers and drops the data. */
export async function startDrop(machine: Machine): Promise<System> {
  const { child, url } = await start(machine, 'drop-api', '');
  return { key: 'e', url, processes: { api: child.pid }, stop: () => child.stop() };
}

function start(machine: Machine, name: PlainServer, databaseUrl: string): Promise<NodeProcess> {
  return startNode(machine, name, [serverProgram(name)], {
    API_KEY,
    DATABASE_URL: databaseUrl,
    REDIS_URL: machine.redis.url,
  });
}

async function database({ postgres }: Machine, name: string): Promise<string> {
  const url = await postgres.createDatabase(name);
  await runSql(url, CREATE_TABLE);
  return url;
}
