/** Builds that break a promise are caught, with the queue in Redis. */
import { brokenBuilds } from '../faults/suites/broken-builds.ts';

brokenBuilds('redis');
