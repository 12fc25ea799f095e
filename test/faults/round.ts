/** One round of a fault run: clients write while faults happen; when all is well again, the checker looks. */
import { setTimeout as delay } from 'node:timers/promises';
import { check } from './checker.ts';
import { readEndState, settled } from './end-state.ts';
import type { Fault } from './faults.ts';
import { faultsOf, recovered } from './faults.ts';
import type { Finding } from './findings.ts';
import type { EndState, History, Outcome } from './history.ts';
import type { Random } from './random.ts';
import { randomFrom } from './random.ts';
import { Workload } from './workload.ts';
import type { World } from './world.ts';

/** How long clients write before the first fault and after the last, in milliseconds. */
const BEFORE_MS = 800;
const AFTER_MS = 1_000;

/** A fault as it is to happen in a round. */
interface PlannedFault {
  readonly fault: Fault;
  readonly startsMs: number;
  readonly lastsMs: number;
}

export interface RoundResult {
  readonly seed: number;
  /** What happened, as text. */
  readonly faults: string;
  readonly counts: Readonly<Record<Outcome, number>>;
  /** Operations that were answered with 503 and taken all the same. */
  readonly takenAfter503: number;
  readonly settleMs: number;
  readonly findings: readonly Finding[];
}

/**
 * Runs one. Everything that is chosen follows from the seed.
 * @param only draws no faults but those with such names
 */
export async function runRound(world: World, seed: number, only?: RegExp): Promise<RoundResult> {
  const random = randomFrom(seed);
  const namespace = `round-${seed}`;
  const planned = planFaults(faultsOf(world, only), random);
  const workload = new Workload({
    urls: () => world.apis.map(({ url }) => url),
    ...{ namespace, seed, importPatienceMs: random.chance(0.3) ? 60_000 : 15_000 },
  });
  await delay(BEFORE_MS);
  await Promise.all(
    planned.map(async ({ fault, startsMs, lastsMs }) => {
      await delay(startsMs);
      await fault.run(lastsMs);
    }),
  );
  await recovered(world);
  await delay(AFTER_MS);
  const history = await workload.stop();
  const settleMs = await settled(world, history);
  const complaints = [...history.complaints];
  const end = await readEndState(world, namespace, history, complaints);
  complaints.push(...world.complaints());
  const faults = planned.map(
    ({ fault, startsMs, lastsMs }) => `${fault.name} at ${startsMs} ms for ${lastsMs} ms`,
  );
  return {
    ...{ seed, faults: faults.join(' + '), settleMs: Math.round(settleMs) },
    counts: countOutcomes(history),
    takenAfter503: countTakenAfter503(history, end),
    findings: check({ ...history, complaints }, end),
  };
}

/** One fault or two at a time, the second of which begins while the first lasts. */
function planFaults(faults: ReturnType<typeof faultsOf>, random: Random): PlannedFault[] {
  const draw = (): Fault => random.pick(faults.get(random.pick([...faults.keys()])) ?? []);
  const chosen = [draw()];
  // Where no other has another target, one has to do.
  while (chosen.length < 2 && random.chance(0.7)) {
    const other = draw();
    if (other.target !== chosen[0]?.target) chosen.push(other);
  }
  let startsMs = 0;
  return chosen.map((fault): PlannedFault => {
    const lastsMs = random.between(300, fault.longestMs);
    const planned = { fault, startsMs, lastsMs };
    startsMs = random.between(0, lastsMs);
    return planned;
  });
}

function countOutcomes({ operations }: History): Record<Outcome, number> {
  const counts = { acknowledged: 0, refused: 0, unknown: 0 };
  for (const { outcome } of operations) counts[outcome] += 1;
  return counts;
}

/** What is allowed, and should be rare: the client sends such a write again, and it is there twice in the history. */
function countTakenAfter503({ operations }: History, { objects, revisions }: EndState): number {
  const stored = new Set([...objects, ...revisions].map(({ data }) => data?.v));
  return operations.filter(
    ({ kind, answered, outcome, writes }) =>
      kind === 'write' && answered && outcome === 'unknown' && writes.some(({ data }) => stored.has(data?.v)),
  ).length;
}
