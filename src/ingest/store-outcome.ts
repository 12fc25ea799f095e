/** What storing a batch comes to, and what is told on the way. */
import type { BatchId } from '../domain/request-id.ts';
import { RefusedError } from '../queue/queue.ts';

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

/** What has become of nothing: of a batch that was stored before, and of a chunk that doesn't count any more. */
export const NOTHING: StoreOutcome = { requests: 0, objects: 0, stored: 0, overtaken: 0, failed: 0 };

export function sumOf(a: StoreOutcome, b: StoreOutcome): StoreOutcome {
  return {
    requests: a.requests + b.requests,
    objects: a.objects + b.objects,
    stored: a.stored + b.stored,
    overtaken: a.overtaken + b.overtaken,
    failed: a.failed + b.failed,
  };
}

/** What of a batch is to be tried again later. */
export interface Refused {
  readonly objects: number;
  /** Why they were refused. */
  readonly sqlStates: readonly string[];
  /** Whether the table takes no writes at all, as far as can be told. */
  readonly isBroken: boolean;
  /** Whether they wait for nothing but locks that others hold. */
  readonly isLocked: boolean;
}

/** What an isolation leaves to be tried again; undefined where that is nothing. */
export function refusedOf({
  waiting,
  sqlStates,
  isBroken,
  isLocked,
}: {
  readonly waiting: readonly unknown[];
  readonly sqlStates: readonly string[];
  readonly isBroken: boolean;
  readonly isLocked: boolean;
}): Refused | undefined {
  return waiting.length > 0 ? { objects: waiting.length, sqlStates, isBroken, isLocked } : undefined;
}

/** What two parts of a batch leave. */
export function mergeRefused(one: Refused | undefined, other: Refused | undefined): Refused | undefined {
  if (!one || !other) return one ?? other;
  return {
    objects: one.objects + other.objects,
    sqlStates: [...new Set([...one.sqlStates, ...other.sqlStates])],
    isBroken: one.isBroken && other.isBroken,
    isLocked: one.isLocked && other.isLocked,
  };
}

/** Postgres has refused objects of a batch for a reason that may pass; the rest of the batch is done. */
export class ObjectsRefusedError extends RefusedError {
  override readonly name = 'ObjectsRefusedError';
  readonly refused: Refused;
  /** What became of the rest. */
  readonly outcome: StoreOutcome;

  /** @param before how often that has happened to the batch before */
  constructor(refused: Refused, outcome: StoreOutcome, before: number, cause?: unknown) {
    const message = `Postgres refused ${refused.objects} objects (${refused.sqlStates.join(', ')})`;
    super(message, before, !refused.isBroken && !refused.isLocked, { cause });
    this.refused = refused;
    this.outcome = outcome;
  }
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
