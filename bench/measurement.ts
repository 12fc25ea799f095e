/** What is kept of a measurement, and how several of them are looked up. */
import type { Conditions, Usage } from './machine/meter.ts';
import type { Spread } from './statistics.ts';
import { ratios, spread } from './statistics.ts';
import type { SystemKey } from './systems/system.ts';

/** Everything that is measured. Rates are objects per second; times are milliseconds. */
export interface Figures {
  /** Answered with 202, over the time of the load. */
  readonly acceptedPerSecond?: number;
  /** From the first request to the commit of the last row. */
  readonly storedPerSecond?: number;
  readonly answerP50Ms?: number;
  readonly answerP99Ms?: number;
  /** From the answer to the commit; with `one-by-one`, from the request until the object can be read. */
  readonly storedP50Ms?: number;
  readonly storedP99Ms?: number;
  /** The rate of a paced load. */
  readonly ratePerSecond?: number;
  /** What a paced load's client adds to its times. */
  readonly lagP99Ms?: number;
}
export type Figure = keyof Figures;

export interface Measurement {
  /** From 1. */
  readonly round: number;
  readonly system: SystemKey;
  readonly workload: string;
  readonly figures: Figures;
  /** Objects that were answered with 202. */
  readonly accepted: number;
  /** Objects found in the table; undefined where the system stores none. */
  readonly stored?: number;
  /** Requests that were answered otherwise, or not at all. */
  readonly refused: number;
  readonly usage: Readonly<Record<string, Usage>>;
  readonly conditions: Conditions & {
    /** What the load generator took while it was at work; cores that were busy on average. */
    readonly generatorCores: number;
  };
}

/** What is compared: a figure of a system under a workload. */
export interface Subject {
  readonly system: SystemKey;
  readonly workload: string;
  readonly figure: Figure;
}

/** All that was measured. */
export class Measurements {
  readonly #all: Measurement[] = [];

  add(measurement: Measurement): void {
    this.#all.push(measurement);
  }

  get all(): readonly Measurement[] {
    return this.#all;
  }

  of(system: SystemKey, workload: string): readonly Measurement[] {
    return this.#all.filter((one) => one.system === system && one.workload === workload);
  }

  /** undefined where it was not measured. */
  spread(subject: Subject): Spread | undefined {
    return spread([...this.#byRound(subject).values()]);
  }

  /** The ratio in each round; undefined where the two were never measured in the same one. */
  ratio(of: Subject, to: Subject): Spread | undefined {
    return ratios(this.#byRound(of), this.#byRound(to));
  }

  #byRound({ system, workload, figure }: Subject): Map<number, number> {
    const entries = this.of(system, workload).flatMap(({ round, figures }): [number, number][] => {
      const value = figures[figure];
      return value === undefined || Number.isNaN(value) ? [] : [[round, value]];
    });
    return new Map(entries);
  }
}
