/** Builds that break a promise are caught, with the queue in Postgres. */
import { brokenBuilds } from '../faults/suites/broken-builds.ts';

brokenBuilds('postgres');
