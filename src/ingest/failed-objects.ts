/** What can be asked of failed objects, and done with them, on one database and one queue. */
import type { ReplayOrder } from '../domain/batch.ts';
import type { BatchId } from '../domain/request-id.ts';
import type { BatchQueue } from '../queue/queue.ts';
import type { Queryable } from '../store/database.ts';
import type { FailedEntry, FailedPlace, FailedScope } from '../store/failed-list.ts';
import { countFailed, discardFailed, findFailed, isDiscarded, listFailed } from '../store/failed-list.ts';

/** What came of asking for a replay. */
export interface RequestedReplay {
  /** How many objects are replayed. */
  readonly objects: number;
  /** How many there are beside them that can't be: lines of files that Inlet itself has refused. */
  readonly refused: number;
  /** When that was: whatever is tried in vain has failed later. Microseconds since 1970. */
  readonly at: number;
}

export interface FailedObjects {
  readonly list: (
    scope: FailedScope,
    after: FailedPlace | undefined,
    limit: number,
  ) => Promise<readonly FailedEntry[]>;
  /** One with its text as it was sent; undefined where there is none at this place. */
  readonly find: (
    namespace: string,
    place: FailedPlace,
  ) => Promise<(FailedEntry & { readonly text: string }) | undefined>;
  /** Resolves when the replay is durably in the queue, or there is nothing to replay. @throws QueueUnavailableError */
  readonly replay: (scope: FailedScope, order: ReplayOrder) => Promise<RequestedReplay>;
  /** Discards at most so many; resolves to how many there were. */
  readonly discard: (scope: FailedScope, limit: number) => Promise<number>;
  readonly isDiscarded: (namespace: string, place: FailedPlace) => Promise<boolean>;
}

export function failedObjects(
  database: Queryable,
  queue: Pick<BatchQueue, 'add'>,
  newBatchId: () => BatchId,
): FailedObjects {
  return {
    list: (scope, after, limit) => listFailed(database, scope, after, limit),
    find: (namespace, place) => findFailed(database, namespace, place),
    async replay({ namespace, requestId, index }, order) {
      const { replayable, refused, at } = await countFailed(database, { namespace, requestId, index });
      if (replayable > 0) {
        const which = {
          ...(requestId === undefined ? {} : { requestId }),
          ...(index === undefined ? {} : { index }),
        };
        await queue.add({
          id: newBatchId(),
          requests: [],
          objects: '',
          replay: { namespace, ...which, order, failedBefore: at },
        });
      }
      return { objects: replayable, refused, at };
    },
    discard: (scope, limit) => discardFailed(database, scope, limit),
    isDiscarded: (namespace, place) => isDiscarded(database, namespace, place),
  };
}
