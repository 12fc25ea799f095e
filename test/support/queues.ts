/** The queue as tests see it behind the API. */
import type { Backend } from '../../src/queue/backend.ts';
import { bullmqProvider } from '../../src/queue/bullmq.ts';
import { total } from '../../src/queue/lane.ts';
import { postgresBackend } from '../../src/queue/postgres.ts';
import type { BatchQueue, QueueProvider } from '../../src/queue/queue.ts';
import { redisBackend } from '../../src/queue/redis.ts';
import type { QueueConfig } from '../../src/runtime.ts';
import { waitFor } from './wait-for.ts';

const onError = (): void => undefined;

/** What the queue of a process with these settings is made of. */
export function openBackend(
  { redisUrl, redisPrefix, databaseUrl, queueId }: QueueConfig,
  queueName = 'inlet',
): Backend {
  return redisUrl
    ? redisBackend({ url: redisUrl, prefix: redisPrefix, queueId, queueName, onError })
    : postgresBackend({ url: databaseUrl, queueName, poolSize: 4, onError });
}

/** The queue that a process with these settings would use, or one of another name beside it. */
export function openProvider(config: QueueConfig, queueName?: string): QueueProvider {
  return bullmqProvider(openBackend(config, queueName), onError);
}

/** How many batches wait or are being worked on. */
export async function depthOf(queue: BatchQueue): Promise<number> {
  const { depth } = await queue.load();
  return total(depth);
}

/** Makes a call until it succeeds: a producer that was just made isn't connected yet, and fails at once. */
export async function whenConnected<T>(call: () => Promise<T>): Promise<T> {
  const { value } = await waitFor('the queue to answer', async () => ({ value: await call() }));
  return value;
}
