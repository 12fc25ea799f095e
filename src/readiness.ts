/** Whether a process can take work, from what it needs for that. */
import { withDeadline } from './closing.ts';
import type { Readiness } from './http/routes/health.ts';
import type { BatchQueue } from './queue/queue.ts';
import type { Database } from './store/database.ts';

/** For how long the parts are not looked at again, in milliseconds: anybody may ask, as often as they like. */
const READINESS_AGE_MS = 1_000;

/** How long an answer of a part is waited for, in milliseconds. */
const PATIENCE_MS = 2_000;

/** What readiness needs to know of a process that takes writes. */
interface WriteState {
  /** Why none are taken for the moment though the queue takes them: it is full. Undefined where they are. */
  readonly warning: () => string | undefined;
  /** Whether they are refused while the queue has a weakness. */
  readonly requireDurable: boolean;
}

interface ReadinessOptions {
  /** What there is to tell of lost writes. */
  readonly losses: () => readonly string[];
  /** Undefined where the process takes none. */
  readonly writes?: WriteState;
}

/**
 * Tells how the parts are, and whether the process can do its work with them: an API takes writes, a worker jobs. A process that
 * refuses writes because the queue is full stays ready, because it will be over, and others have the same queue.
 */
export function readiness(
  queue: BatchQueue,
  database: Database,
  needed: readonly Part[],
  { losses, writes }: ReadinessOptions,
): () => Promise<Readiness> {
  let known: Promise<Parts> | undefined;
  let since = 0;
  return async () => {
    const now = performance.now();
    if (!known || now - since > READINESS_AGE_MS) {
      since = now;
      known = lookAtParts(queue, database);
    }
    const { up, reads, weaknesses, refusal } = await known;
    const isTooWeak = writes?.requireDurable === true && weaknesses.length > 0;
    const full = writes?.warning();
    const works = needed.every((part) => up[part]) && refusal === undefined && !isTooWeak;
    const reasons = [up.queue ? refusal : undefined, full].filter((why) => why !== undefined);
    return {
      queue: up.queue ? 'up' : 'down',
      store: up.store ? 'up' : 'down',
      ready: works,
      reads,
      ...(writes ? { writes: works && full === undefined ? 'accepted' : 'refused' } : {}),
      warnings: [...losses(), ...weaknesses, ...reasons],
    };
  };
}

type Part = 'queue' | 'store';

interface Parts {
  readonly up: Readonly<Record<Part, boolean>>;
  /** Whether objects can be read. */
  readonly reads: boolean;
  /** Of the queue. */
  readonly weaknesses: readonly string[];
  /** Why the queue takes no writes; undefined where it does. */
  readonly refusal: string | undefined;
}

async function lookAtParts(queue: BatchQueue, database: Database): Promise<Parts> {
  const [queueUp, storeUp, reads, weaknesses, refusal] = await Promise.all([
    queue.isUp(),
    withDeadline(database.isUp(), PATIENCE_MS).catch(() => false),
    canRead(database),
    queue.weaknesses().catch(() => []),
    withDeadline(queue.writeRefusal(), PATIENCE_MS).catch(() => 'no answer'),
  ]);
  return {
    up: { queue: queueUp, store: storeUp },
    ...{ reads, weaknesses },
    refusal: refusal && `the queue takes no writes (${refusal})`,
  };
}

/** A database that is up may still refuse to be read: a right is missing, or somebody holds a lock. */
function canRead(database: Database): Promise<boolean> {
  return database.query({ text: 'SELECT FROM inlet.objects LIMIT 1', timeoutMs: PATIENCE_MS }).then(
    () => true,
    () => false,
  );
}
