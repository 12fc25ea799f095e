/** What has become of a request, from the moment of its 202. */
import { stampOf, UnknownPayloadError } from '../domain/batch.ts';
import { locateRequest } from '../domain/request-id.ts';
import { ProblemError } from '../errors.ts';
import type { BatchQueue, QueuedBatch } from '../queue/queue.ts';
import type { Queryable } from '../store/database.ts';
import { faultKind } from '../store/faults.ts';
import type { RequestRecord } from '../store/requests.ts';
import { findRequest } from '../store/requests.ts';

/**
 * Finds a request of a namespace: among those that are done, then in the queue, then among those that are
 * done once more, because it may have moved in between. While Postgres is away the queue still answers for
 * what is in it.
 * @returns undefined where there is no such request
 * @throws QueueUnavailableError, StoreUnavailableError, pg.DatabaseError or ProblemError where that can't be told
 */
export async function findRequestStatus(
  database: Queryable,
  queue: Pick<BatchQueue, 'find'>,
  namespace: string,
  id: string,
): Promise<RequestRecord | undefined> {
  const place = locateRequest(id);
  if (!place) return undefined;
  let away: unknown;
  const done = await findRequest(database, namespace, id).catch((error: unknown) => {
    if (faultKind(error) !== 'infrastructure') throw error;
    away = error;
    return undefined;
  });
  if (done) return done;

  const batch = await queue.find(place.batchId).catch((error: unknown) => {
    if (error instanceof UnknownPayloadError) throw unreadable(error);
    throw error;
  });
  const queued = batch && queuedRequest(batch, place.position, id);
  if (queued?.namespace === namespace) return queued;
  if (away) throw away;
  return findRequest(database, namespace, id);
}

function unreadable(cause: UnknownPayloadError): ProblemError {
  return new ProblemError(
    'unavailable',
    'the request is in the queue, in a batch of a newer version of Inlet that this process cannot read: try again',
    { headers: { 'retry-after': '5' }, cause },
  );
}

/** The request at a position of a batch that is in the queue; undefined where there is none. */
export function queuedRequest(batch: QueuedBatch, position: number, id: string): RequestRecord | undefined {
  const request = batch.requests[position];
  // A chunk of an import is no request of its own.
  if (!request || request.import) return undefined;
  return {
    id,
    namespace: request.namespace,
    status: batch.started ? 'ingesting' : 'queued',
    objects: request.ids.length,
    stored: 0,
    failed: 0,
    acceptedAt: batch.acceptedAt,
    stamp: stampOf(batch),
    completedAt: undefined,
    isImport: false,
  };
}
