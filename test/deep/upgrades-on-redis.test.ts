/** Nothing that is promised is broken by an upgrade, with the queue in Redis. */
import { upgrades } from '../faults/suites/upgrades.ts';

upgrades('redis');
