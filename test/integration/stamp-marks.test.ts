/** Marks that a queue on Redis keeps of what was added. */
import { expect, inject, onTestFinished, test } from 'vitest';
import { redisUrlOf, testConfig } from '../support/inlet.ts';
import { openBackend } from '../support/queues.ts';
import { waitFor } from '../support/wait-for.ts';

test.skipIf(inject('redisUrl') === null)(
  'whatever is added raises the last stamp, also with a stamp from before; nothing is added to a queue that has less than it had',
  async () => {
    const config = testConfig({ databaseUrl: 'postgres://nowhere', redisUrl: redisUrlOf('redis') });
    const producer = openBackend(config).openProducer();
    onTestFinished(() => producer.close());
    await waitFor('the queue to be connected', () => producer.isConnected());
    const last = await producer.claim(0);
    const add = async () => undefined;
    const first = await producer.addStamped(last - 5, 0, add);
    expect(first).toBe(last + 1);
    expect(await producer.addStamped(last - 5, first, add)).toBe(last + 2);
    await expect(producer.addStamped(last + 9, last + 3, add)).rejects.toThrow('an older copy');
  },
);
