/** Puts the chunks of an upload into the queue, as fast as the queue takes them and no faster. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Stamp } from '../domain/batch.ts';
import type { Chunk } from '../domain/chunks.ts';
import { MAX_CHUNK_BYTES } from '../domain/chunks.ts';
import type { BatchId } from '../domain/request-id.ts';
import type { Turns } from '../domain/turns.ts';
import type { BatchQueue } from '../queue/queue.ts';
import { QueueUnavailableError } from '../queue/queue.ts';
import { faultKind } from '../store/faults.ts';

const MAX_IN_FLIGHT = 2;

/**
 * Most chunks that may be in the queue when one is added, those included that fail and are tried again: so a file of any
 * size takes up some dozens of megabytes there. The client waits meanwhile, because nothing more of its file is read.
 */
const MAX_BACKLOG = 64;
const BACKLOG_POLL_MS = 100;

/** How long a queue or a database that is away is waited for, in milliseconds, before the upload fails. */
const PATIENCE_MS = 300_000;
const FIRST_RETRY_MS = 200;
const LONGEST_RETRY_MS = 5_000;

/** The upload that chunks belong to. */
export interface Upload {
  readonly requestId: string;
  readonly namespace: string;
  readonly upload: number;
  /** That of its beginning, which all of its chunks have. */
  readonly stamped: Stamp;
}

export interface SenderDeps {
  readonly queue: Pick<BatchQueue, 'add' | 'importBacklog'>;
  readonly newBatchId: () => BatchId;
  /** The chunks of all uploads that are being added: each takes several times its size meanwhile. */
  readonly enqueueing: Turns;
}

export class ChunkSender {
  readonly #deps: SenderDeps;
  readonly #upload: Upload;
  readonly #signal: AbortSignal;
  readonly #inFlight = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;
  #sent = 0;

  /** @param signal ends all waiting; calls then throw its reason */
  constructor(deps: SenderDeps, upload: Upload, signal: AbortSignal) {
    this.#deps = deps;
    this.#upload = upload;
    this.#signal = signal;
  }

  /** How many chunks have been sent. */
  get sent(): number {
    return this.#sent;
  }

  /**
   * Resolves as soon as the next chunk may come; after one that is larger than chunks are made (a long line), when that
   * is in the queue.
   * @throws QueueUnavailableError where the queue has not taken this chunk or one before, however long it was tried
   */
  async send(chunk: Chunk): Promise<void> {
    const enqueued = this.#enqueue(chunk, this.#sent)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => this.#inFlight.delete(enqueued));
    this.#inFlight.add(enqueued);
    this.#sent += 1;
    if (chunk.objects.length > MAX_CHUNK_BYTES) await this.settled();
    else if (this.#inFlight.size >= MAX_IN_FLIGHT) await Promise.race(this.#inFlight);
    this.#throwFailure();
  }

  /** Resolves when all that was sent is durably in the queue. @throws as {@link send} */
  async finish(): Promise<void> {
    await this.settled();
    this.#throwFailure();
  }

  /** Resolves when nothing is on its way any more, whatever came of it. */
  async settled(): Promise<void> {
    await Promise.all(this.#inFlight);
  }

  async #enqueue({ ids, lines, objects, rejected }: Chunk, chunk: number): Promise<void> {
    const { requestId, namespace, upload, stamped } = this.#upload;
    const batch = {
      // The same for each try: what was added though the answer got lost is there once.
      id: this.#deps.newBatchId(),
      requests: [{ namespace, ids, import: { requestId, upload, chunk, lines, rejected } }],
      objects,
      stamped,
    };
    await patiently(this.#signal, async () => {
      await this.#room();
      await this.#deps.enqueueing.take(() => this.#deps.queue.add(batch), { signal: this.#signal });
    });
  }

  async #room(): Promise<void> {
    while ((await this.#deps.queue.importBacklog()) >= MAX_BACKLOG)
      await pause(BACKLOG_POLL_MS, this.#signal);
  }

  #throwFailure(): void {
    if (this.#failure) throw this.#failure.error;
  }
}

/**
 * Tries again, for some minutes, what fails because the queue or the database is away.
 * @throws the reason of `signal`, once that is aborted; otherwise what `run` throws
 */
export async function patiently<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  let failingSince: number | undefined;
  for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(2 * waitMs, LONGEST_RETRY_MS)) {
    signal.throwIfAborted();
    try {
      return await run();
    } catch (error) {
      const isAway = error instanceof QueueUnavailableError || faultKind(error) === 'infrastructure';
      failingSince ??= performance.now();
      if (!isAway || performance.now() - failingSince > PATIENCE_MS) throw error;
      await pause(waitMs, signal);
    }
  }
}

/** Waits so many milliseconds. @throws the reason of `signal` as soon as that is aborted */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
}
