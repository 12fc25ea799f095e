/** The rounds: in each of them every system has its turn with every workload, so that what disturbs the machine disturbs all. */
import { setTimeout as delay } from 'node:timers/promises';
import { runWrk } from './load/wrk.ts';
import { Meter } from './machine/meter.ts';
import type { Measurement } from './measurement.ts';
import { Measurements } from './measurement.ts';
import { FIRST_N, N_STEP } from './objects.ts';
import type { Plan } from './plan.ts';
import { SATURATING_WORKLOAD } from './plan.ts';
import type { RunningSystems } from './systems/start.ts';
import type { System, SystemKey } from './systems/system.ts';
import { API_KEY, serverProgram, startNode } from './systems/system.ts';
import { prepareDuringImport } from './workloads/during-import.ts';
import { prepareHalfLoad } from './workloads/half-load.ts';
import { prepareImport } from './workloads/import.ts';
import { prepareOneByOne } from './workloads/one-by-one.ts';
import type { Outcome } from './workloads/outcome.ts';
import { prepareSaturated } from './workloads/saturated.ts';
import type { Task, Workload } from './workloads/workload.ts';

/** After everything was brought into its state, before the load begins, in milliseconds. */
const SETTLE_MS = 300;

/** The keys of new objects in the large table: after those that it was filled with, so many for each measurement. */
const KEY_STEP = 1_000_000;

const PREPARE: Readonly<Record<Workload['kind'], (task: Task) => Promise<() => Promise<Outcome>>>> = {
  saturated: prepareSaturated,
  import: prepareImport,
  'half-load': prepareHalfLoad,
  'one-by-one': prepareOneByOne,
  'during-import': prepareDuringImport,
};

export class Run {
  readonly measurements = new Measurements();
  readonly #plan: Plan;
  readonly #systems: RunningSystems;
  readonly #onMeasured: (measurement: Measurement) => void;
  #writes = 0;

  /** @param onMeasured is told of each measurement */
  constructor(plan: Plan, systems: RunningSystems, onMeasured: (measurement: Measurement) => void) {
    this.#plan = plan;
    this.#systems = systems;
    this.#onMeasured = onMeasured;
  }

  /** Fills the large tables, and gives each server some load: code that has never run isn't what is measured. */
  async prepare(): Promise<void> {
    const { workloads, fullRows, warmUpSeconds } = this.#plan;
    const stores = new Set(
      workloads
        .filter(({ table }) => table === 'full')
        .flatMap(({ systems }) => systems.map((key) => this.#systems.get(key).store)),
    );
    for (const store of stores) await store?.fillLargeTable('profile', fullRows);
    const keys = new Set(workloads.flatMap(({ systems }) => systems));
    for (const key of keys) await this.#warmUp(this.#systems.get(key), warmUpSeconds);
  }

  /** All rounds. @throws StoreMismatchError and others; what was measured until then is kept */
  async measure(): Promise<void> {
    for (let round = 1; round <= this.#plan.rounds; round += 1) {
      for (const workload of this.#plan.workloads) {
        for (const key of workload.systems) await this.#measureOne(round, workload, key);
      }
    }
  }

  /** How many requests the load generator sends in a second to a server that does nothing. */
  async generatorRoom(seconds: number): Promise<Record<string, number>> {
    const { folder } = this.#systems.machine;
    const program = [serverProgram('trivial')];
    const { child, url } = await startNode({ profileDir: undefined }, 'trivial', program, {});
    try {
      const rates: Record<string, number> = {};
      for (const [connections, listLength] of [
        [64, 0],
        [256, 0],
        [16, 100],
      ] as const) {
        const writes = { kind: 'profile', firstKey: 0, firstN: FIRST_N } as const;
        const load = { url, apiKey: API_KEY, connections, listLength, seconds, writes, folder };
        const { answered, seconds: took } = await runWrk({ ...load, mostRequests: 0 });
        rates[`${listLength === 0 ? 'singles' : 'lists of 100'}, ${connections} connections`] =
          answered / took;
      }
      return rates;
    } finally {
      await child.stop();
    }
  }

  async #measureOne(round: number, workload: Workload, key: SystemKey): Promise<void> {
    const system = this.#systems.get(key);
    const task = this.#task(workload, system);
    const existing = { kind: workload.object, rows: this.#plan.existingRows };
    await system.store?.prepare(workload.table, existing);
    await this.#systems.machine.redis.settle();
    const load = await PREPARE[workload.kind](task);
    await delay(SETTLE_MS);
    task.meter.start();
    const { usage: extra, loadSeconds, ...outcome } = await load();
    const { usage, conditions } = task.meter.reading;
    await system.store?.clean();
    const measurement: Measurement = {
      ...{ round, system: key, workload: workload.key },
      ...outcome,
      usage: { ...usage, ...extra },
      conditions: { ...conditions, generatorCores: conditions.generatorCpuSeconds / loadSeconds },
    };
    this.measurements.add(measurement);
    this.#onMeasured(measurement);
  }

  #task(workload: Workload, system: System): Task {
    const { fullRows } = this.#plan;
    const number = this.#writes;
    this.#writes += 1;
    const firstKey = workload.table === 'full' ? fullRows + number * KEY_STEP : 0;
    return {
      workload,
      system,
      meter: new Meter(system.processes),
      writes: { kind: workload.object, firstKey, firstN: FIRST_N + number * N_STEP },
      folder: this.#systems.machine.folder,
      rate: workload.kind === 'half-load' ? this.#halfRate(system.key) : 0,
    };
  }

  /** Half of what the system has taken, or stored where that is less, under the load that saturates it. */
  #halfRate(system: SystemKey): number {
    const of = (figure: 'acceptedPerSecond' | 'storedPerSecond'): number =>
      this.measurements.spread({ system, workload: SATURATING_WORKLOAD, figure })?.median ??
      Number.POSITIVE_INFINITY;
    const rate = Math.min(of('acceptedPerSecond'), of('storedPerSecond')) / 2;
    if (Number.isFinite(rate)) return rate;
    throw new Error(`half-load needs a measurement of (${system}) with ${SATURATING_WORKLOAD} before it`);
  }

  async #warmUp(system: System, seconds: number): Promise<void> {
    if (system.url === undefined) return;
    const { folder } = this.#systems.machine;
    for (const listLength of [0, 100]) {
      const firstN = FIRST_N + this.#writes * N_STEP;
      this.#writes += 1;
      const writes = { kind: 'profile', firstKey: 0, firstN } as const;
      const load = { url: system.url, apiKey: API_KEY, connections: 64, listLength, folder, writes };
      const startedAt = Date.now();
      const wrk = await runWrk({ ...load, seconds, mostRequests: listLength === 0 ? 0 : 200 });
      const accepted = (wrk.answered - wrk.refused) * Math.max(1, listLength);
      await system.store?.drained(firstN, startedAt, accepted);
      await system.store?.clean();
    }
  }
}
