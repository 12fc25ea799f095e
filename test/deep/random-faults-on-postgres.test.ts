/** Nothing that is promised is broken by random faults, with the queue in Postgres. */
import { randomFaults } from '../faults/suites/random-faults.ts';

randomFaults('postgres');
