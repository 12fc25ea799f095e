/** A Redis that wants a password. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { startRedis } from './redis.ts';

/** Starts one for one test. @returns its URL, with the password or whatever is given instead */
export async function redisWithPassword(): Promise<{
  readonly password: string;
  url(instead?: string): string;
}> {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const password = randomBytes(12).toString('hex');
  const client = new Redis(redis.url);
  await client.config('SET', 'requirepass', password);
  client.disconnect();
  return { password, url: (instead = password) => redis.url.replace('redis://', `redis://:${instead}@`) };
}
