/** What systems are measured with. */
import type { Meter } from '../machine/meter.ts';
import type { ObjectKind, Writes } from '../objects.ts';
import type { TableState } from '../store.ts';
import type { System, SystemKey } from '../systems/system.ts';

export interface Workload {
  readonly key: string;
  readonly title: string;
  readonly kind: 'saturated' | 'import' | 'half-load' | 'one-by-one' | 'during-import';
  readonly object: ObjectKind;
  readonly connections: number;
  /** Objects in a list; 0 for one object without a list. */
  readonly listLength: number;
  /** The table before it: `existing` means that existing objects are overwritten. */
  readonly table: TableState;
  /** The longest time of a load. */
  readonly seconds: number;
  /** Most objects that are written; 0: as many as the time allows. */
  readonly objects: number;
  readonly systems: readonly SystemKey[];
}

/** One measurement that is to be made. */
export interface Task {
  readonly workload: Workload;
  readonly system: System;
  readonly writes: Writes;
  /** A folder that is thrown away at the end. */
  readonly folder: string;
  /** Requests per second of a paced load. */
  readonly rate: number;
  /** Read when the system has nothing to do any more; what comes after it is the bench's own looking. */
  readonly meter: Meter;
}

/** What was accepted is not what is stored. */
export class StoreMismatchError extends Error {
  override readonly name = 'StoreMismatchError';
}
