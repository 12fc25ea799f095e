/** What disasters take of what was acknowledged is told, and nothing else is lost, on either queue. */
import { disasters } from '../faults/suites/disasters.ts';

disasters('redis');
disasters('postgres');
