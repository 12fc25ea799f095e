/** What storing a batch comes to, and what is told on the way. */
import type { BatchId } from '../domain/request-id.ts';

/** What became of a batch's objects: each of them was stored, overtaken or kept as failed. */
export interface StoreOutcome {
  readonly requests: number;
  readonly objects: number;
  readonly stored: number;
  /** Not written, because a later write of the same id was there already or comes in the same batch. */
  readonly overtaken: number;
  /** Refused by Postgres, or lines of an import that hold no object. */
  readonly failed: number;
}

/** Told of what happens while a batch is stored. */
export interface StoreObserver {
  /** A part of a batch that takes long is done. */
  readonly onProgress?: () => void;
  /** Endpoints have got events to be delivered; the batch is committed. */
  readonly onEvents?: (endpointIds: readonly string[]) => void;
  /**
   * Objects of the batch wait to be evaluated, and its requests with them; the batch is committed. Where nobody is
   * told, there is no evaluator, and stored objects are done.
   */
  readonly onWaiting?: (batchId: BatchId) => void;
}
