/** What is promised holds whatever happens, with the queue in Postgres: a short form of test/deep/random-faults-on-postgres.test.ts. */
import { everyFault } from '../faults/suites/every-fault.ts';

everyFault('postgres');
