/** What no wait for Redis mends: a REDIS_URL that doesn't fit its server. */
import { Redis } from 'ioredis';
import { OperatorError } from '../errors.ts';
import { isUntrusted } from '../store/url-mistakes.ts';
import { PRODUCER_TIMEOUT_MS } from './backend.ts';

/** Whether Redis has refused the database of the URL. ioredis tells of it, and goes on in database 0. */
export function isDatabaseRefused(error: Error & { command?: { name?: string } }): boolean {
  return error.command?.name === 'select';
}

/**
 * Makes sure that Redis takes the URL, if it can be reached.
 * @throws OperatorError where it doesn't
 */
export async function requireRedisUrl(url: string): Promise<void> {
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: PRODUCER_TIMEOUT_MS,
    commandTimeout: PRODUCER_TIMEOUT_MS,
    enableReadyCheck: false,
  });
  const mistakes: string[] = [];
  client.on('error', (error) => mistakes.push(...mistakeOf(error)));
  try {
    await client.connect();
    await client.ping();
  } catch (error) {
    mistakes.push(...mistakeOf(error as Error));
  } finally {
    client.disconnect();
  }
  const [mistake] = mistakes;
  if (mistake !== undefined) throw new OperatorError(`REDIS_URL ${mistake}.`);
}

function mistakeOf(error: NodeJS.ErrnoException): string[] {
  const { message } = error;
  if (isDatabaseRefused(error)) {
    return [
      `names a database that Redis does not give (${message}): name another one, like redis://host:6379/0`,
    ];
  }
  if (/^(?:WRONGPASS|NOAUTH|ERR AUTH|ERR Client sent AUTH)/.test(message)) {
    return [
      `has no user and password that Redis takes (${message}): give them as redis://user:password@host:6379`,
    ];
  }
  if (isUntrusted(error)) {
    return [
      `leads to a Redis whose certificate cannot be trusted (${message}): name the file of its authority's in NODE_EXTRA_CA_CERTS`,
    ];
  }
  return [];
}
