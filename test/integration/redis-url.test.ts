/** A REDIS_URL that Redis does not take as it is. */
import { expect, inject } from 'vitest';
import { redisBackend } from '../../src/queue/redis.ts';
import { requireRedisUrl } from '../../src/queue/redis-url.ts';
import { freePort } from '../../src/store/embedded/postmaster.ts';
import { inletTest } from '../support/fixtures.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest();

const NONE = inject('redisUrl') === null;

/** The suite's Redis, with something else in its URL. */
function redisUrl(change: (url: URL) => void): string {
  const url = new URL(inject('redisUrl') ?? 'redis://none');
  change(url);
  return url.href;
}

/** Redis has 16 unless told. */
const NO_DATABASE = redisUrl((url) => {
  url.pathname = '/99';
});

const WRONG_PASSWORD = redisUrl((url) => {
  url.username = 'somebody';
  url.password = 's3cr3t';
});

test.skipIf(NONE).for([
  ['a database that is not there', NO_DATABASE, /^REDIS_URL names a database that Redis does not give/],
  ['a password that is wrong', WRONG_PASSWORD, /^REDIS_URL has no user and password that Redis takes/],
] as const)('%s is refused in one line', async ([_, url, message]) => {
  const refused = await requireRedisUrl(url).catch((error: Error) => error);
  expect(refused?.message).toMatch(message);
  expect(refused?.message).not.toMatch(/\n|s3cr3t/);
});

test.skipIf(NONE)('one that works is taken, and so is one that cannot be reached now', async () => {
  await requireRedisUrl(redisUrl((url) => Object.assign(url, { pathname: '/1' })));
  await requireRedisUrl(`redis://127.0.0.1:${await freePort()}`);
});

test.skipIf(NONE)(
  'a database that is gone when Redis is back is not replaced by database 0',
  async ({ config }) => {
    const { redisPrefix: prefix, queueId } = config;
    const refusals: Error[] = [];
    const onError = (error: Error) => refusals.push(error);
    const producer = redisBackend({
      url: NO_DATABASE,
      queueName: 'inlet',
      prefix,
      queueId,
      onError,
    }).openProducer();
    try {
      await waitFor('it to be tried again', () => refusals.length > 2);
      expect(producer.isConnected()).toBe(false);
    } finally {
      await producer.close();
    }
  },
);
