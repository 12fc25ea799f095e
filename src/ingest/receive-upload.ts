/** Takes in the file of an import: from a stream of bytes to chunks in the queue. */
import type { BatchId } from '../domain/request-id.ts';
import type { Turns } from '../domain/turns.ts';
import { ProblemError } from '../errors.ts';
import type { BatchQueue } from '../queue/queue.ts';
import type { Database } from '../store/database.ts';
import {
  beginUpload,
  completeUpload,
  releaseUpload,
  renewUpload,
  UPLOAD_LEASE_SECONDS,
} from '../store/imports.ts';
import type { Log } from '../telemetry.ts';
import type { Upload } from './chunk-sender.ts';
import { ChunkSender, patiently } from './chunk-sender.ts';
import { FileIntake } from './file-intake.ts';
import type { LongLines } from './long-lines.ts';

const RENEW_EVERY_MS = (UPLOAD_LEASE_SECONDS * 1_000) / 3;

export interface UploadDeps {
  readonly database: Database;
  readonly queue: Pick<BatchQueue, 'add' | 'importBacklog' | 'stamp'>;
  readonly newBatchId: () => BatchId;
  /** Most bytes of one line. */
  readonly maxLineBytes: number;
  /** What all uploads share. */
  readonly longLines: LongLines;
  readonly enqueueing: Turns;
  readonly log: Log;
}

/** An upload as it arrives. */
export interface IncomingUpload {
  readonly namespace: string;
  readonly requestId: string;
  /** Opens the file, whose reading is to end when the signal is aborted; called when the upload has begun. */
  readonly open: (signal: AbortSignal) => AsyncIterable<Buffer>;
  /** Aborted, with a reason, where the client has gone or the server stops. */
  readonly stopping: AbortSignal;
}

/** What is known when all of a file is durably in the queue. */
export interface ReceivedCounts {
  readonly objects: number;
  readonly stored: number;
  readonly failed: number;
}

/**
 * Takes in a file.
 * @throws ProblemError where the import can't take a file (404, 409) or the file holds nothing (400); whatever
 *   `open` throws; the reason of `stopping`; QueueUnavailableError or StoreUnavailableError where those stay away.
 *   After all of them the file can be sent again.
 */
export async function receiveUpload(deps: UploadDeps, incoming: IncomingUpload): Promise<ReceivedCounts> {
  const { database, queue, log } = deps;
  const { namespace, requestId } = incoming;
  const beginning = await beginUpload(database, requestId, () => queue.stamp());
  if (beginning.state !== 'begun') throw refusal(beginning.state);

  const lost = new AbortController();
  const upload: Upload = { namespace, requestId, ...beginning };
  const renewing = setInterval(() => {
    renewUpload(database, requestId, upload.upload).then(
      (counts) => {
        if (!counts) lost.abort(refusal('running'));
      },
      // Nobody can take its place while the database is away.
      (err: unknown) => log.warn({ requestId, err }, 'could not say that an upload goes on'),
    );
  }, RENEW_EVERY_MS);
  try {
    return await transfer(deps, upload, incoming, AbortSignal.any([incoming.stopping, lost.signal]));
  } catch (error) {
    log.info({ requestId, err: error }, 'an upload broke off');
    await releaseUpload(database, requestId, upload.upload).catch((err: unknown) => {
      log.warn({ requestId, err }, 'could not let go of an upload: another can begin when its lease is over');
    });
    throw error;
  } finally {
    clearInterval(renewing);
  }
}

async function transfer(
  { database, queue, newBatchId, maxLineBytes, longLines, enqueueing }: UploadDeps,
  upload: Upload,
  { open }: IncomingUpload,
  stopping: AbortSignal,
): Promise<ReceivedCounts> {
  const failed = new AbortController();
  const signal = AbortSignal.any([stopping, failed.signal]);
  const sender = new ChunkSender({ queue, newBatchId, enqueueing }, upload, signal);
  const long = longLines.open(signal);
  const intake = new FileIntake(maxLineBytes, sender, long);
  try {
    for await (const bytes of open(stopping)) await intake.push(bytes);
    await intake.end();
    if (sender.sent === 0) {
      throw new ProblemError('invalid_request', 'the file is empty: send an object on each line');
    }
    const { objects, rejected } = intake.counts;
    const stored = await patiently(signal, () =>
      completeUpload(database, upload.requestId, upload.upload, sender.sent, objects),
    );
    if (!stored) throw refusal('running');
    return { objects, stored: stored.objects - stored.failed, failed: Math.max(rejected, stored.failed) };
  } catch (error) {
    failed.abort(error);
    await sender.settled();
    throw error;
  } finally {
    long.release();
  }
}

function refusal(state: 'unknown' | 'complete' | 'running'): ProblemError {
  switch (state) {
    case 'unknown':
      return new ProblemError('not_found', 'there is no such request: ask for a new upload URL');
    case 'complete':
      // The x-should-retry header keeps generated SDKs, which retry a 409, from sending the file again.
      return new ProblemError('conflict', 'the file of this request is complete: ask for a new upload URL', {
        headers: { 'x-should-retry': 'false' },
      });
    case 'running':
      return new ProblemError(
        'conflict',
        `another upload to this URL is running: wait for its end, or ${UPLOAD_LEASE_SECONDS} seconds where its server died`,
        { headers: { 'retry-after': '5' } },
      );
  }
}
