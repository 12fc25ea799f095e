/** (c), the API: each request is a job. */
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import type { PlainObject } from './plain-api.ts';
import { createApi, run, serveWrites } from './plain-api.ts';
import { readSettings } from './settings.ts';

const { port, apiKey, redisUrl } = readSettings();
const queue = new Queue<{ namespace: string; objects: PlainObject | PlainObject[] }>('textbook', {
  connection: new Redis(redisUrl, { enableOfflineQueue: false, maxRetriesPerRequest: 1 }),
  defaultJobOptions: {
    attempts: 10,
    backoff: { type: 'exponential', delay: 1_000 },
    removeOnComplete: true,
  },
});
await queue.waitUntilReady();

const app = createApi(apiKey);
serveWrites(app, async (namespace, objects) => {
  const job = await queue.add('write', { namespace, objects });
  return job.id ?? '';
});
await run(app, port);
