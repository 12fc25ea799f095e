/** Nothing that is promised is broken by a crash, at whatever point, with the queue in Redis. */
import { crashPoints } from '../faults/suites/crash-points.ts';

crashPoints('redis');
