/** Nothing that is promised is broken by an upgrade, with the queue in Postgres. */
import { upgrades } from '../faults/suites/upgrades.ts';

upgrades('postgres');
