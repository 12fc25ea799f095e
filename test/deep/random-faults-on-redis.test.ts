/** Nothing that is promised is broken by random faults, with the queue in Redis. */
import { randomFaults } from '../faults/suites/random-faults.ts';

randomFaults('redis');
