/** What disasters do to a Redis. */
import { Redis } from 'ioredis';

async function onRedis<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url);
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}

/** Empties it. */
export async function emptied(url: string): Promise<void> {
  await onRedis(url, (client) => client.flushall());
}

/** Whether it has a key. */
export async function hasKey(url: string, key: string): Promise<boolean> {
  return onRedis(url, async (client) => (await client.exists(key)) === 1);
}

/** Copies all that it holds. @returns puts the copy in place of what it holds then */
export async function copyOf(url: string): Promise<() => Promise<void>> {
  const copy = await onRedis(url, async (client) => {
    const keys = await client.keys('*');
    return Promise.all(keys.map(async (key) => [key, await client.dumpBuffer(key)] as const));
  });
  return () =>
    onRedis(url, async (client) => {
      const restored = client.multi().flushall();
      for (const [key, value] of copy) if (value) restored.restore(key, 0, value);
      await restored.exec();
    });
}
