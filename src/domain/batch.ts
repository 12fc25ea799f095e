/**
 * A batch: what one job of the queue carries. Many small requests share one, so that the queue's cost for
 * each job (round trips, fsync, locks) is paid once for all of them.
 */
import { splitList } from './json-text.ts';
import type { BatchId } from './request-id.ts';
import { requestIdAt } from './request-id.ts';

/** Version of the payload's shape, raised when it changes so that a rolling upgrade can read older jobs. */
export const PAYLOAD_VERSION = 1;

/**
 * Version of the payload of a replay. Everything else goes on as version 1: a worker that knows no replays would take one
 * for a batch of nothing and be done with it; it leaves a version that it doesn't know to one that does.
 */
export const REPLAY_VERSION = 2;

/**
 * What orders writes: the clock of the queue's server in microseconds, but always more than any stamp of a batch that was
 * acknowledged before. So it never falls, also where that clock steps back.
 */
export interface Stamp {
  readonly stamp: number;
  /** The clock itself, in microseconds since 1970. */
  readonly acceptedAt: number;
}

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

/**
 * Where a replayed object stands in the order of writes: where it has always stood, so that whatever was accepted after it
 * still wins; or as if it had been sent now.
 */
export const REPLAY_ORDERS = ['original', 'now'] as const;
export type ReplayOrder = (typeof REPLAY_ORDERS)[number];

/** Failed objects that are to be tried again. Their text is where they are kept; nothing of it is in the queue. */
export interface Replay {
  readonly namespace: string;
  /** Those of this request alone. */
  readonly requestId?: string;
  /** The one at this place of it alone. */
  readonly index?: number;
  readonly order: ReplayOrder;
  /**
   * Those that had failed before this, in microseconds since 1970 on the database's clock: what is tried in vain fails
   * later than that, and isn't tried again by a job that comes a second time.
   */
  readonly failedBefore: number;
}

/** The job's data. `objects` is text and stays text: it is never parsed and written again in JavaScript. */
export interface BatchPayload {
  readonly version: typeof PAYLOAD_VERSION | typeof REPLAY_VERSION;
  /** Microseconds since 1970 on the clock of the queue's server. It is for people: a clock may step back. */
  readonly acceptedAt: number;
  /** Orders the batch's writes: see `Stamp`. Versions of Inlet that ordered by `acceptedAt` have left it out. */
  readonly stamp?: number;
  readonly requests: readonly BatchRequest[];
  /**
   * The JSON text of all objects of all requests in order, separated by commas. Where an object is to be
   * deleted, its id stands there as a JSON string.
   */
  readonly objects: string;
  /** What the job is about instead of requests and objects, of which there are none then. */
  readonly replay?: Replay;
}

/** The order of a batch's writes. (A chunk of an import is alone in its batch.) */
export function orderOf(batch: Pick<BatchPayload, 'stamp' | 'acceptedAt' | 'requests'>): WriteOrder {
  const { acceptedAt, requests } = batch;
  return { acceptedAt, stamp: stampOf(batch), part: requests[0]?.import?.chunk ?? 0 };
}

/** A batch as it comes out of the queue. */
export interface Batch extends BatchPayload {
  readonly id: BatchId;
  /** A worker has had it before, and may have stored it. */
  readonly isRetried?: true;
  /** How often Postgres has refused objects of it that may be stored later; 0 where it is left out. */
  readonly refusals?: number;
  /** Where it is a part of its job (see {@link partOf}): the positions there of its requests. */
  readonly positions?: readonly number[];
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

/** The place of a write in the order of all writes; its request's id stands between stamp and part. */
export interface WriteOrder {
  /** Microseconds since 1970, for people. */
  readonly acceptedAt: number;
  readonly stamp: number;
  /** The chunk of an import that it came with, from 0; 0 for all others. */
  readonly part: number;
}

/** What orders the writes of a batch. */
export function stampOf({ stamp, acceptedAt }: Pick<BatchPayload, 'stamp' | 'acceptedAt'>): number {
  return stamp ?? acceptedAt;
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
  if (version !== PAYLOAD_VERSION && version !== REPLAY_VERSION) {
    throw new UnknownPayloadError(
      `job ${id} has payload version ${String(version)}; this worker reads versions ${PAYLOAD_VERSION} and ${REPLAY_VERSION}`,
    );
  }
  return { ...(data as BatchPayload), id };
}

/** What a batch that waits tells of its requests. */
export type QueuedRequests = Pick<BatchPayload, 'acceptedAt' | 'stamp' | 'requests'>;

/**
 * Reads what can be told of a job's requests, whatever its version: during an upgrade older processes are asked about the jobs
 * of newer ones, which is why these members stay as they are.
 * @throws UnknownPayloadError where they are not
 */
export function readQueuedRequests(id: BatchId, data: unknown): QueuedRequests {
  if (isQueuedRequests(data))
    return { acceptedAt: data.acceptedAt, stamp: stampOf(data), requests: data.requests };
  throw new UnknownPayloadError(`job ${id} does not tell of its requests as this version does`);
}

function isQueuedRequests(data: unknown): data is QueuedRequests {
  if (typeof data !== 'object' || data === null) return false;
  const { acceptedAt, requests } = data as Record<string, unknown>;
  return typeof acceptedAt === 'number' && Array.isArray(requests) && requests.every(isQueuedRequest);
}

function isQueuedRequest(request: unknown): boolean {
  if (typeof request !== 'object' || request === null) return false;
  const { namespace, ids } = request as Record<string, unknown>;
  return typeof namespace === 'string' && Array.isArray(ids);
}

/** The ids of a batch's requests, by position. */
export function requestIds(batch: Batch): string[] {
  return batch.requests.map(
    (request, i) => request.import?.requestId ?? requestIdAt(batch.id, batch.positions?.[i] ?? i),
  );
}

/** A batch of some of its requests, which keep their ids. @param keeps told the position of each in the batch */
export function partOf(batch: Batch, keeps: (position: number) => boolean): Batch {
  const texts = splitList(batch.objects);
  const positions: number[] = [];
  const objects: string[] = [];
  let from = 0;
  batch.requests.forEach(({ ids }, position) => {
    if (keeps(position)) {
      positions.push(position);
      objects.push(...texts.slice(from, from + ids.length));
    }
    from += ids.length;
  });
  return {
    ...batch,
    requests: positions.flatMap((position) => batch.requests[position] ?? []),
    objects: objects.join(','),
    positions: positions.map((position) => batch.positions?.[position] ?? position),
  };
}

/** The place of each object of a batch, in the order of {@link BatchPayload.objects}. */
export function objectPlaces(batch: Batch): ObjectPlace[] {
  return batch.requests.flatMap(({ namespace, ids, import: chunk }, request) =>
    ids.map((id, index) => ({ request, index: chunk?.lines[index] ?? index, namespace, id })),
  );
}
