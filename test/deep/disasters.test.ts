/** What disasters take of what was acknowledged in a queue on Redis is told, and nothing else is lost. */
import { disasters } from '../faults/suites/disasters.ts';

disasters();
