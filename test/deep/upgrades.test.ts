/** Nothing that is promised is broken by an upgrade. */
import { upgrades } from '../faults/suites/upgrades.ts';

upgrades('redis');
upgrades('postgres');
