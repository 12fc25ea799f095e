/** What clients did and saw, and what is there at the end: all that the checker knows. */

/** What stands under an id. `v` names the version and is unique among all writes of a history. */
export interface VersionData {
  readonly id: string;
  readonly v: string;
  readonly [member: string]: unknown;
}

/** One object of an operation. */
export interface Write {
  readonly id: string;
  /** Undefined: the object is deleted. */
  readonly data: VersionData | undefined;
  /** Whether it can't be stored, and is to be kept as failed. */
  readonly fails?: boolean;
  /** Its line in a file, from 1. */
  readonly line?: number;
}

/**
 * - `acknowledged`: the server has promised to keep it.
 * - `refused`: the server has said for certain that nothing was taken, or was never reached.
 * - `unknown`: a connection broke, nobody answered, or the answer leaves it open (503).
 */
export type Outcome = 'acknowledged' | 'refused' | 'unknown';

/** One request of a client, or one import with all tries of its upload. */
export interface Operation {
  readonly client: string;
  readonly kind: 'write' | 'delete' | 'import';
  /** In the order of the request or file. Of an import, bad lines are among `badLines` and not here. */
  readonly writes: readonly Write[];
  /** Numbers of the lines of an import that hold no object, from 1. */
  readonly badLines?: readonly number[];
  /** When it was sent and when it was over, in milliseconds on one clock of the clients'. */
  readonly begunAt: number;
  readonly endedAt: number;
  readonly outcome: Outcome;
  /** Whether the server has answered. Otherwise it may still take the request after `endedAt`. */
  readonly answered: boolean;
  /** The status, or the error of the connection. */
  readonly answer: string;
  readonly requestId?: string;
}

/** An object as a reader saw it while the clients wrote. */
export interface Observation {
  readonly id: string;
  readonly revision: number;
  readonly requestId: string;
  readonly v: string | undefined;
}

/** What a disaster may have taken: acknowledged operations that were on their way after `from` and before `to`. */
export interface AllowedLoss {
  /** As `begunAt`. */
  readonly from: number;
  readonly to: number;
  /** Whether processes still run that have acknowledged them, so that Inlet has to name all that are lost. */
  readonly remembered: boolean;
}

export interface History {
  readonly operations: readonly Operation[];
  /** In the order in which one reader made them. */
  readonly observations: readonly Observation[];
  /** Answers that no client should ever get, like a 500. */
  readonly complaints: readonly string[];
  /** Undefined: nothing may be lost. */
  readonly allowedLosses?: readonly AllowedLoss[];
  /** As `begunAt`: from then on the clock of the queue's server was behind, and stamps rose by next to nothing. */
  readonly clockBehindSince?: number;
}

/** What orders writes, beside the id of their request. */
export interface Order {
  readonly stamp: number;
  /** The chunk of an import. */
  readonly part: number;
}

/** A version of an object as it is stored, the current one or a former one. */
export interface StoredVersion {
  readonly id: string;
  readonly revision: number;
  /** Null: it is deleted in this version. */
  readonly data: VersionData | null;
  readonly requestId: string;
  /** Microseconds since 1970. */
  readonly acceptedAt: number;
  /** As the database has it; the API doesn't tell. */
  readonly order?: Order;
}

/** A request as the database has it. */
export interface StoredRequest {
  readonly requestId: string;
  readonly status: string;
  readonly objects: number;
  readonly failed: number;
  /** Microseconds since 1970. */
  readonly acceptedAt: number;
  readonly order?: Order;
}

/** A request as the API tells of it. */
export interface ToldRequest {
  readonly requestId: string;
  readonly status: string;
  readonly counts: { readonly objects: number; readonly stored: number; readonly failed: number };
  /** Of its results, in their order; undefined where they were not asked for. */
  readonly ids: readonly string[] | undefined;
  readonly failedIndexes: readonly number[];
}

interface StoredFailure {
  readonly requestId: string;
  readonly index: number;
  readonly id: string;
  readonly object: string;
  readonly message: string;
}

/** Acknowledged writes that may be lost, as Inlet tells an operator. */
export interface ToldLoss {
  readonly cause: string;
  /** Times of the stamps in question, as `begunAt`. */
  readonly from: number;
  readonly to: number;
  /** Those of which it is known that they are not stored. */
  readonly requestIds: readonly string[];
}

/** All that is there when the load is over and the queue is empty. */
export interface EndState {
  readonly objects: readonly StoredVersion[];
  readonly revisions: readonly StoredVersion[];
  readonly requests: readonly StoredRequest[];
  readonly failures: readonly StoredFailure[];
  readonly losses: readonly ToldLoss[];
  /** What the API says of the same. */
  readonly told: {
    readonly objects: readonly StoredVersion[];
    readonly requests: readonly ToldRequest[];
  };
  /** How many batches the queue still holds. */
  readonly leftInQueue: number;
}
