/** A broken build: see no-stamp.mjs. For `queue/postgres.js`. */
import * as real from '../../../dist/queue/postgres.js';
import { withoutStamp } from './no-stamp.mjs';

export * from '../../../dist/queue/postgres.js';

export function postgresBackend(options) {
  return withoutStamp(real.postgresBackend(options));
}
