/** The Redis that the systems share, set up as the documentation asks for it: an acknowledged write is on disk. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort, startChild } from './children.ts';

export interface SharedRedis {
  readonly pid: number;
  readonly url: string;
  /** Has it write its file anew, so that it doesn't come upon that idea in the middle of a measurement. */
  settle(): Promise<void>;
  stop(): Promise<void>;
}

/** @param folder where its data goes */
export async function startRedis(folder: string): Promise<SharedRedis> {
  const dir = join(folder, 'redis');
  await mkdir(dir);
  const port = await freePort();
  const settings = {
    port: String(port),
    bind: '127.0.0.1',
    dir,
    appendonly: 'yes',
    appendfsync: 'always',
    save: '',
    'maxmemory-policy': 'noeviction',
  };
  const child = await startChild({
    command: 'redis-server',
    args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    ready: (line) => /ready to accept connections/i.test(line),
  });
  const url = `redis://127.0.0.1:${port}`;
  const client = new Redis(url);
  return {
    pid: child.pid,
    url,
    async settle() {
      await client.bgrewriteaof();
      do await delay(20);
      while (/aof_rewrite_(?:in_progress|scheduled):1/.test(await client.info('persistence')));
    },
    async stop() {
      client.disconnect();
      await child.stop();
    },
  };
}
