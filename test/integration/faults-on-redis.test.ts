/** What is promised holds whatever happens, with the queue in Redis: a short form of test/deep/random-faults-on-redis.test.ts. */
import { everyFault } from '../faults/suites/every-fault.ts';

everyFault('redis');
