/** What has become of a request, from the moment of its 202. */
import { locateRequest } from '../domain/request-id.ts';
import { ProblemError } from '../errors.ts';
import type { BatchQueue } from '../queue/queue.ts';
import type { Database } from '../store/database.ts';
import type { ObjectFailure } from '../store/failed-objects.ts';
import { findFailures } from '../store/failed-objects.ts';
import { faultKind } from '../store/faults.ts';
import { importIds } from '../store/imports.ts';
import type { RecordedStatus } from '../store/requests.ts';
import { findRequest } from '../store/requests.ts';

/** Most failures of an import that are named; the file may hold millions. */
const MAX_IMPORT_FAILURES = 1_000;

/** Most ids of an import that one answer lists. */
const MAX_LISTED_IDS = 25_000;

/** A request on its way, or done. Times are microseconds since 1970. */
export interface RequestStatus {
  readonly id: string;
  readonly namespace: string;
  readonly status: RecordedStatus;
  readonly acceptedAt: number;
  readonly completedAt: number | undefined;
  /** The ids of the objects that did not fail, each once; empty until it is done. */
  readonly ids: readonly string[];
  /** Of an import that isn't done, how many so far. */
  readonly counts: { readonly objects: number; readonly stored: number; readonly failed: number };
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
      ids: [],
      counts: { objects: request.ids.length, stored: 0, failed: 0 },
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
  const record = await findRequest(database, namespace, id);
  if (!record) return undefined;
  const { ids: allIds, objects, failed, ...request } = record;
  const isImport = allIds === undefined;
  const failures = failed > 0 ? await findFailures(database, id, isImport ? MAX_IMPORT_FAILURES : null) : [];
  const ids = isImport
    ? request.completedAt === undefined
      ? []
      : await listImportIds(database, id)
    : storedIds(allIds, failures);
  return { ...request, ids, counts: { objects, stored: objects - failed, failed }, failures };
}

function storedIds(ids: readonly string[], failures: readonly ObjectFailure[]): string[] {
  const failed = new Set(failures.map(({ index }) => index));
  return [...new Set(ids.filter((_, index) => !failed.has(index)))];
}

async function listImportIds(database: Database, id: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const page of importIds(database, id)) {
    ids.push(...page);
    if (ids.length > MAX_LISTED_IDS) {
      throw new ProblemError('too_large', `the request has more than ${MAX_LISTED_IDS} objects to be listed`);
    }
  }
  return ids;
}
