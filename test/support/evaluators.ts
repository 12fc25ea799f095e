/** Evaluators as a worker has them, without the worker, and what they tell of. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { expect, onTestFinished } from 'vitest';
import type { Evaluation } from '../../src/evaluation/evaluator.ts';
import { Evaluator } from '../../src/evaluation/evaluator.ts';

/** Does what the object says. */
const MODULE = 'test/support/evaluator.mjs';

const NEVER = new AbortController().signal;

interface Line {
  readonly level: number;
  readonly msg: string;
  readonly evaluator?: string;
  readonly reason?: string;
}

type WatchedEvaluator = Awaited<ReturnType<typeof openEvaluator>>;

/** Starts an evaluator, which the caller closes. */
export async function openEvaluator({ module = MODULE, concurrency = 8, timeoutMs = 30_000 } = {}) {
  const lines: Line[] = [];
  const outcomes: string[] = [];
  let lost = 0;
  const log = pino({ level: 'info' }, { write: (line) => lines.push(JSON.parse(line) as Line) });
  const evaluator = await Evaluator.start({
    ...{ module, concurrency, timeoutMs, log },
    observer: {
      onEvaluated: (outcome) => outcomes.push(outcome),
      onThreadLost: () => {
        lost += 1;
      },
    },
  });
  let n = 0;
  const evaluate = (members: object, about: object = {}): Promise<Evaluation> => {
    n += 1;
    const input = { namespace: 'ns', id: `o${n}`, requestId: 'req_1', revision: 1, previous: null };
    return evaluator.evaluate(
      { ...input, data: JSON.stringify({ id: `o${n}`, ...members }), ...about },
      NEVER,
    );
  };
  return { evaluator, evaluate, lines, outcomes, lost: () => lost };
}

/** Starts an evaluator for one test. */
export async function startEvaluator(
  options?: Parameters<typeof openEvaluator>[0],
): Promise<WatchedEvaluator> {
  const started = await openEvaluator(options);
  onTestFinished(() => started.evaluator.close());
  return started;
}

/** What `evaluate` answered, parsed. */
export function outputOf(evaluation: Evaluation): { fields: Record<string, unknown>; labels: unknown[] } {
  if (evaluation.outcome !== 'succeeded') throw new Error(evaluation.error);
  return JSON.parse(evaluation.output) as never;
}

/** A folder for the modules of one test. @returns writes a module, and says where it is */
export async function moduleFolder(): Promise<(name: string, text: string) => Promise<string>> {
  const folder = await mkdtemp(path.join(tmpdir(), 'inlet-evaluator-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return async (name, text) => {
    const file = path.join(folder, name);
    await writeFile(file, text);
    return file;
  };
}

/** Evaluates an object that ends its thread beside others, and checks that it fails and no other does. */
export async function checkFailsAlone(deed: string, error: unknown): Promise<void> {
  const { evaluate, outcomes, lines } = await startEvaluator();
  const others = Array.from({ length: 5 }, () => evaluate({ do: 'wait', ms: 50 }));
  expect(await evaluate({ do: deed })).toEqual({ outcome: 'failed', error });
  for (const one of others) expect((await one).outcome).toBe('succeeded');
  expect((await evaluate({})).outcome).toBe('succeeded');
  expect(outcomes.filter((outcome) => outcome === 'failed')).toHaveLength(1);
  // It has ended twice, among others and by itself, within an interval of the log. Messages could quote data.
  expect(lines.filter(({ msg }) => msg.includes('has ended'))).toHaveLength(1);
  expect(JSON.stringify(lines)).not.toContain('nobody catches it');
}
