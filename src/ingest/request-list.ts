/**
 * Lists of requests, newest first. A request is in the queue first and then in Postgres, so both are read: the
 * queue before Postgres, because that is the way in which a request moves.
 */
import { UnknownPayloadError } from '../domain/batch.ts';
import type { BatchId } from '../domain/request-id.ts';
import { locateRequest, requestIdAt } from '../domain/request-id.ts';
import type { BatchQueue } from '../queue/queue.ts';
import type { Queryable } from '../store/database.ts';
import type { RequestRecord, RequestStatus } from '../store/requests.ts';
import { haveRows, listRequestRecords } from '../store/requests.ts';
import { queuedRequest } from './request-status.ts';

/**
 * Longest time that is spent on looking through the queue for one page, in milliseconds: batches are loaded one
 * by one, and a queue that has fallen behind may hold many, all of them of other namespaces.
 */
const QUEUE_TIME_MS = 2_000;

/** What is asked for. */
export interface RequestQuery {
  readonly limit: number;
  /** The request after which the page begins; undefined for the first page. */
  readonly after: string | undefined;
  /** Only requests with this status. */
  readonly status: RequestStatus | undefined;
}

export interface RequestPage {
  readonly requests: readonly RequestRecord[];
  /** What to ask for as `after` to go on; undefined where this was all. */
  readonly next: string | undefined;
}

/** Requests that were found in the queue. */
interface Queued {
  readonly requests: readonly RequestRecord[];
  /** Where the search stopped before the end: older requests than this may be in the queue. */
  readonly downTo: string | undefined;
}

/**
 * Lists a namespace's requests. Where the time for the queue runs out a page is shorter than its limit, or empty,
 * and `next` goes on from there.
 * @throws QueueUnavailableError, StoreUnavailableError or pg.DatabaseError where one of them can't be read
 */
export async function listRequests(
  database: Queryable,
  queue: Pick<BatchQueue, 'batchIds' | 'find'>,
  namespace: string,
  query: RequestQuery,
): Promise<RequestPage> {
  const { limit, after, status } = query;
  const queued = await findQueued(queue, namespace, query);
  const stored = await listRequestRecords(database, namespace, { before: after, status, limit: limit + 1 });
  // One that has meanwhile got a row of another status isn't among those with this one.
  const known = status
    ? await haveRows(
        database,
        queued.requests.map(({ id }) => id),
      )
    : new Set(stored.map(({ id }) => id));
  const { downTo } = queued;
  const found = [...stored, ...queued.requests.filter(({ id }) => !known.has(id))]
    .filter(({ id }) => downTo === undefined || id >= downTo)
    .sort((a, b) => (a.id < b.id ? 1 : -1));
  const requests = found.slice(0, limit);
  return { requests, next: found.length > limit ? requests.at(-1)?.id : downTo };
}

/** Finds requests in the queue, newest first, one more than a page holds. */
async function findQueued(
  queue: Pick<BatchQueue, 'batchIds' | 'find'>,
  namespace: string,
  { limit, after, status }: RequestQuery,
): Promise<Queued> {
  const requests: RequestRecord[] = [];
  // What is done has a row.
  if (status === 'succeeded' || status === 'failed') return { requests, downTo: undefined };
  const deadline = performance.now() + QUEUE_TIME_MS;
  const from = after === undefined ? undefined : locateRequest(after)?.batchId;
  const ids = (await queue.batchIds()).filter((id) => from === undefined || id <= from);
  for (const [index, id] of ids.entries()) {
    requests.push(
      ...(await requestsOf(queue, id)).filter(
        (request) =>
          request.namespace === namespace &&
          (after === undefined || request.id < after) &&
          (status === undefined || request.status === status),
      ),
    );
    const isLast = index === ids.length - 1;
    if (!isLast && (requests.length > limit || performance.now() > deadline)) {
      return { requests, downTo: requestIdAt(id, 0) };
    }
  }
  return { requests, downTo: undefined };
}

/** The requests of a batch; none where it has left the queue, because they have rows then. */
async function requestsOf(queue: Pick<BatchQueue, 'find'>, id: BatchId): Promise<RequestRecord[]> {
  const batch = await queue.find(id).catch((error: unknown) => {
    // Written by a newer version, in the middle of an upgrade, and not to be read by this one: that version lists it.
    if (error instanceof UnknownPayloadError) return undefined;
    throw error;
  });
  if (!batch) return [];
  return batch.requests.flatMap(
    (_, position) => queuedRequest(batch, position, requestIdAt(id, position)) ?? [],
  );
}
