/** What is promised holds whatever happens, with the queue in Postgres: a short form of test/deep/faults-on-postgres.test.ts. */
import { describe } from 'vitest';
import { everyFault } from '../faults/suites/every-fault.ts';

describe('with the queue in Postgres', () => {
  everyFault('postgres');
});
