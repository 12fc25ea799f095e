/** What has become of a request, from the moment of its 202. */
import { locateRequest } from '../domain/request-id.ts';
import type { BatchQueue } from '../queue/queue.ts';
import type { Database } from '../store/database.ts';
import type { ObjectFailure } from '../store/failed-objects.ts';
import { findFailures } from '../store/failed-objects.ts';
import { faultKind } from '../store/faults.ts';
import type { RequestRecord } from '../store/requests.ts';
import { findRequest } from '../store/requests.ts';

/** A request on its way, or done. Times are microseconds since 1970. */
export interface RequestStatus {
  readonly id: string;
  readonly namespace: string;
  readonly status: 'queued' | 'ingesting' | 'succeeded' | 'failed';
  readonly acceptedAt: number;
  readonly completedAt: number | undefined;
  /** The ids of its objects in the order of the request. */
  readonly ids: readonly string[];
  readonly failures: readonly ObjectFailure[];
}

/**
 * Finds a request of a namespace: among those that are done, then in the queue, then among those that are
 * done once more, because it may have moved in between. While Postgres is away the queue still answers for
 * what is in it.
 * @returns undefined where there is no such request
 * @throws QueueUnavailableError, StoreUnavailableError or pg.DatabaseError where that can't be told
 */
export async function findRequestStatus(
  database: Database,
  queue: Pick<BatchQueue, 'find'>,
  namespace: string,
  id: string,
): Promise<RequestStatus | undefined> {
  const place = locateRequest(id);
  if (!place) return undefined;
  const done = await findDone(database, namespace, id).catch((error: unknown) => {
    if (faultKind(error) !== 'infrastructure') throw error;
    return undefined;
  });
  if (done) return done;

  const batch = await queue.find(place.batchId);
  const request = batch?.requests[place.position];
  if (batch && request?.namespace === namespace) {
    return {
      id,
      namespace,
      status: batch.started ? 'ingesting' : 'queued',
      acceptedAt: batch.acceptedAt,
      completedAt: undefined,
      ids: request.ids,
      failures: [],
    };
  }
  return findDone(database, namespace, id);
}

async function findDone(
  database: Database,
  namespace: string,
  id: string,
): Promise<RequestStatus | undefined> {
  const record: RequestRecord | undefined = await findRequest(database, namespace, id);
  if (!record) return undefined;
  return { ...record, failures: record.status === 'failed' ? await findFailures(database, id) : [] };
}
