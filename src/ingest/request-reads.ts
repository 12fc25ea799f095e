/** All that can be asked about requests, on one database and one queue. */
import type { BatchQueue } from '../queue/queue.ts';
import type { Queryable } from '../store/database.ts';
import type { ObjectFailure } from '../store/failed-objects.ts';
import { failurePages } from '../store/failed-objects.ts';
import type { RequestRecord } from '../store/requests.ts';
import type { RequestPage, RequestQuery } from './request-list.ts';
import { listRequests } from './request-list.ts';
import { findRequestStatus } from './request-status.ts';
import type { Result } from './results.ts';
import { countResults, resultPages } from './results.ts';

export interface RequestReads {
  /** As {@link findRequestStatus}. */
  readonly findRequest: (namespace: string, id: string) => Promise<RequestRecord | undefined>;
  /** As {@link listRequests}. */
  readonly listRequests: (namespace: string, query: RequestQuery) => Promise<RequestPage>;
  /** The results of a request that is done. */
  readonly results: (request: RequestRecord) => AsyncIterable<readonly Result[]>;
  /** How many results a request that is done has. */
  readonly countResults: (request: RequestRecord) => Promise<number>;
  /** The objects of a request that could not be stored. */
  readonly failures: (request: RequestRecord) => AsyncIterable<readonly ObjectFailure[]>;
}

export function requestReads(
  database: Queryable,
  queue: Pick<BatchQueue, 'find' | 'batchIds'>,
): RequestReads {
  return {
    findRequest: (namespace, id) => findRequestStatus(database, queue, namespace, id),
    listRequests: (namespace, query) => listRequests(database, queue, namespace, query),
    results: (request) => resultPages(database, request),
    countResults: (request) => countResults(database, request),
    failures: (request) => failurePages(database, request.id),
  };
}
