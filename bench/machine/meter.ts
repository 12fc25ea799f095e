/** What a measurement took of the machine, and what of the machine was somebody else's at that time. */
import { loadavg } from 'node:os';
import { cpuSeconds, forgetPeaks, machineCpuSeconds, peakMemoryMb, reapedCpuSeconds } from './processes.ts';

/** What one process used. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly peakMb: number;
}

/** The machine during a measurement. */
export interface Conditions {
  /** Processes that wanted to run in the minute before, on average; the bench's own of earlier measurements included. */
  readonly loadBefore: number;
  /** Taken by the programs that send requests, or that write without a server. */
  readonly generatorCpuSeconds: number;
  /** Taken by what doesn't belong to the measurement: idle systems, the bench itself, and other work; cores that were busy on average. */
  readonly otherCores: number;
  readonly seconds: number;
}

export interface Reading {
  readonly usage: Readonly<Record<string, Usage>>;
  readonly conditions: Conditions;
}

/** Measures processes, from its start to the last time that it is read. */
export class Meter {
  readonly #processes: Readonly<Record<string, number>>;
  #before: Totals | undefined;
  #reading: Reading | undefined;

  /** @param processes their ids by name */
  constructor(processes: Readonly<Record<string, number>>) {
    this.#processes = processes;
  }

  start(): void {
    forgetPeaks(this.#processes);
    this.#before = totals(this.#processes);
  }

  /** Takes the reading. Programs that were run and have ended since the start count as the load generator. */
  read(): void {
    const before = this.#before;
    if (!before) throw new Error('the meter was not started');
    const now = totals(this.#processes);
    const seconds = (now.at - before.at) / 1_000;
    const generator = now.reaped - before.reaped;
    const peaks = peakMemoryMb(this.#processes);
    const usage = Object.fromEntries(
      Object.entries(now.each).map(([name, total]): [string, Usage] => [
        name,
        { cpuSeconds: total - (before.each[name] ?? 0), peakMb: peaks[name] ?? Number.NaN },
      ]),
    );
    const own = Object.values(usage).reduce((sum, { cpuSeconds: used }) => sum + used, generator);
    const otherCores = Math.max(0, now.machine - before.machine - own) / seconds;
    const conditions = { loadBefore: before.load, generatorCpuSeconds: generator, otherCores, seconds };
    this.#reading = { usage, conditions };
  }

  /** What was read last. */
  get reading(): Reading {
    if (!this.#reading) throw new Error('the meter was not read');
    return this.#reading;
  }
}

/** CPU seconds since the processes, and the machine, were started. */
interface Totals {
  readonly at: number;
  readonly load: number;
  readonly each: Readonly<Record<string, number>>;
  readonly machine: number;
  readonly reaped: number;
}

function totals(processes: Readonly<Record<string, number>>): Totals {
  return {
    at: performance.now(),
    load: loadavg()[0] ?? Number.NaN,
    each: cpuSeconds(processes),
    machine: machineCpuSeconds(),
    reaped: reapedCpuSeconds(),
  };
}
