/**
 * A batch: what one job of the queue carries. Many small requests share one, so that the queue's cost for
 * each job (round trips, fsync, locks) is paid once for all of them.
 */
import type { BatchId } from './request-id.ts';
import { requestIdAt } from './request-id.ts';

/** Version of the payload's shape, raised when it changes so that a rolling upgrade can read older jobs. */
export const PAYLOAD_VERSION = 1;

/** A line of an import that holds no object that can be stored. */
export interface RejectedLine {
  /** Its number in the file, from 1. */
  readonly line: number;
  /** The object's id; empty where it has none that is valid. */
  readonly id: string;
  /** The beginning of the line. */
  readonly text: string;
  readonly message: string;
}

/** What makes a batch's request a part of an import. A chunk has a batch to itself. */
export interface ImportChunk {
  /** The import's, which is the same for all of its chunks. */
  readonly requestId: string;
  /** The upload that the chunk came with: only that of the last one counts. */
  readonly upload: number;
  /** Its number in the upload, from 0. */
  readonly chunk: number;
  /** The line number of each object, from 1. */
  readonly lines: readonly number[];
  readonly rejected: readonly RejectedLine[];
}

/** One accepted request: where its objects go and their ids, in the order of the request. */
export interface BatchRequest {
  readonly namespace: string;
  readonly ids: readonly string[];
  /** The JSON text of the schema that came along. */
  readonly schema?: string;
  /** Whether its only object is to be deleted. */
  readonly isDelete?: true;
  readonly import?: ImportChunk;
}

/** The job's data. `objects` is text and stays text: it is never parsed and written again in JavaScript. */
export interface BatchPayload {
  readonly version: typeof PAYLOAD_VERSION;
  /** Microseconds since 1970 on the clock of the queue's server: the order of writes. */
  readonly acceptedAt: number;
  readonly requests: readonly BatchRequest[];
  /**
   * The JSON text of all objects of all requests in order, separated by commas. Where an object is to be
   * deleted, its id stands there as a JSON string.
   */
  readonly objects: string;
}

/** A batch as it comes out of the queue. */
export interface Batch extends BatchPayload {
  readonly id: BatchId;
}

/** An object's place in its batch. */
export interface ObjectPlace {
  /** The request's position in the batch, from 0. */
  readonly request: number;
  /** The object's index in its request, from 0; in an import its line number. */
  readonly index: number;
  readonly namespace: string;
  readonly id: string;
}

/** A job that was written by a version of Inlet that this one doesn't know. */
export class UnknownPayloadError extends Error {
  override readonly name = 'UnknownPayloadError';
}

/**
 * Reads a job's data.
 * @throws UnknownPayloadError where the data is of another version; the job must then be kept for a worker
 *   that can read it.
 */
export function readPayload(id: BatchId, data: unknown): Batch {
  const version = typeof data === 'object' && data !== null && 'version' in data ? data.version : undefined;
  if (version !== PAYLOAD_VERSION) {
    throw new UnknownPayloadError(
      `job ${id} has payload version ${String(version)}; this worker reads version ${PAYLOAD_VERSION}`,
    );
  }
  return { ...(data as BatchPayload), id };
}

/** The ids of a batch's requests, by position. */
export function requestIds(batch: Batch): string[] {
  return batch.requests.map(
    (request, position) => request.import?.requestId ?? requestIdAt(batch.id, position),
  );
}

/** The place of each object of a batch, in the order of {@link BatchPayload.objects}. */
export function objectPlaces(batch: Batch): ObjectPlace[] {
  return batch.requests.flatMap(({ namespace, ids, import: chunk }, request) =>
    ids.map((id, index) => ({ request, index: chunk?.lines[index] ?? index, namespace, id })),
  );
}
