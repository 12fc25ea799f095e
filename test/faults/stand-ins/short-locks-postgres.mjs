/** Jobs of a worker that has died are taken over after some 3 s instead of 15. For `queue/postgres.js`. */
import * as real from '../../../dist/queue/postgres.js';
import { withShortLocks } from './short-locks.mjs';

export * from '../../../dist/queue/postgres.js';

export function postgresBackend(options) {
  return withShortLocks(real.postgresBackend(options));
}
