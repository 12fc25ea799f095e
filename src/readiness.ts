/** Whether a process can take work, from what it needs for that. */
import { withDeadline } from './closing.ts';
import type { Readiness } from './http/routes/health.ts';
import type { BatchQueue } from './queue/queue.ts';
import type { Database } from './store/database.ts';

/** How long an answer to `/readyz` is given again, in milliseconds: anybody may ask, as often as they like. */
const READINESS_AGE_MS = 1_000;

/** Tells how the parts are, and whether those that are needed are up. */
export function readiness(
  queue: BatchQueue,
  database: Database,
  needed: readonly Part[],
): () => Promise<Readiness> {
  let known: Promise<Readiness> | undefined;
  let since = 0;
  return () => {
    const now = performance.now();
    if (!known || now - since > READINESS_AGE_MS) {
      since = now;
      known = findReadiness(queue, database, needed);
    }
    return known;
  };
}

type Part = 'queue' | 'store';

async function findReadiness(
  queue: BatchQueue,
  database: Database,
  needed: readonly Part[],
): Promise<Readiness> {
  const [queueUp, storeUp, warnings] = await Promise.all([
    queue.isUp(),
    withDeadline(database.isUp(), 2_000).catch(() => false),
    queue.weaknesses().catch(() => []),
  ]);
  const up = { queue: queueUp, store: storeUp };
  return {
    queue: queueUp ? 'up' : 'down',
    store: storeUp ? 'up' : 'down',
    ready: needed.every((part) => up[part]),
    warnings,
  };
}
