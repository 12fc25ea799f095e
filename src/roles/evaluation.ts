/**
 * The evaluation of a worker. With an evaluator: its thread, the tasks, and a sweep that finds what has not become a
 * task. Without one: a look at whether something still waits for an evaluator that was taken out of the settings.
 */
import type { Closing, Running } from '../closing.ts';
import { EVALUATIONS_AT_ONCE } from '../connections.ts';
import type { BatchId } from '../domain/request-id.ts';
import type { EvaluateBatchOptions } from '../evaluation/evaluate-batch.ts';
import { evaluateBatch } from '../evaluation/evaluate-batch.ts';
import type { EvaluatorObserver } from '../evaluation/evaluator.ts';
import { Evaluator } from '../evaluation/evaluator.ts';
import { evaluationHandler } from '../evaluation/worker.ts';
import type { TaskQueue } from '../queue/queue.ts';
import { Wake } from '../queue/wake.ts';
import type { QueueConfig } from '../runtime.ts';
import { queueProvider } from '../runtime.ts';
import { sayingWhatFor } from '../startup.ts';
import type { Database } from '../store/database.ts';
import { countWaiting, hasSwept, longestWaiting } from '../store/evaluations.ts';
import { keepSchedule } from '../store/schedule.ts';
import type { Tracing } from '../telemetry/tracing/types.ts';
import type { Log } from '../telemetry.ts';
import { errorReporter } from '../telemetry.ts';

/** The sweep: how often, of batches that have waited how long (milliseconds), and how many of them. */
const SWEEP = { name: 'evaluations', everyMs: 5_000, waitedMs: 5_000, batches: 500 } as const;

/**
 * Without an evaluator: how often it is looked. What waits is done without one when nobody has swept for so long; a fleet
 * that is being restarted has workers with and without one for a while.
 */
const LEFT = { name: 'evaluations-left', everyMs: 15_000, waitedMs: 60_000, batches: 100 } as const;

const GRACE_MS = 2_000;

export interface EvaluationParts {
  readonly config: QueueConfig;
  readonly log: Log;
  readonly database: Database;
  readonly closing: Closing;
  readonly telemetry: Tracing['queue'] | undefined;
  /** Makes the metrics. @param waiting how many requests and chunks wait, as far as it is known */
  readonly metrics: (waiting: () => number | undefined) => EvaluatorObserver;
  /** Endpoints have got events to be delivered. */
  readonly onEvents: EvaluateBatchOptions['onEvents'];
}

/**
 * Starts the evaluation; it is closed with `closing`.
 * @returns what is to be told of each batch that waits; undefined where there is no evaluator, and nothing is to wait
 * @throws OperatorError where the evaluator can't be used
 */
export async function startEvaluation(
  parts: EvaluationParts,
): Promise<((batchId: BatchId) => void) | undefined> {
  const { config, log, database, closing, onEvents } = parts;
  let waiting: number | undefined = config.evaluator === undefined ? 0 : undefined;
  const observer = parts.metrics(() => waiting);
  const onError = errorReporter(log, 'could not look for what waits to be evaluated');
  const evaluate = (batchId: BatchId, stopping: AbortSignal, evaluator: Evaluator | undefined) =>
    evaluateBatch(database, batchId, { evaluator, stopping, onEvents });

  if (config.evaluator === undefined) {
    const look = keepSchedule(database, { ...LEFT, onError }, async (stopping) => {
      const handle = evaluationHandler((id) => evaluate(id, stopping, undefined), log);
      while (!stopping.aborted && !(await hasSwept(database, SWEEP.name, LEFT.waitedMs))) {
        const left = await longestWaiting(database, LEFT.waitedMs, LEFT.batches);
        if (left.length === 0) return;
        log.warn({ batches: left.length }, 'there is no evaluator any more: requests are done without');
        for (const batchId of left) await handle(batchId, stopping);
      }
    });
    closing.add('look for evaluations', () => look.close(GRACE_MS), GRACE_MS + 1_000);
    return undefined;
  }

  const starting = Evaluator.start({
    ...{
      module: config.evaluator,
      concurrency: config.evaluatorConcurrency,
      timeoutMs: config.evaluatorTimeout,
    },
    ...{ log, observer },
  });
  const evaluator = await sayingWhatFor(log, 'the evaluator (INLET_EVALUATOR) to load', starting);
  closing.add('evaluator', () => evaluator.close());
  const provider = queueProvider(config, log, { queueName: 'inlet-evaluations', telemetry: parts.telemetry });
  const tasks = provider.openTasks();
  closing.add('evaluation tasks', () => tasks.close());
  const sampler = sample(database, (count) => {
    waiting = count;
  });
  closing.add('look at evaluations', () => sampler.close());
  const sweep = keepSchedule(database, { ...SWEEP, onError }, () => sweepOnce(database, tasks));
  closing.add('sweep of evaluations', () => sweep.close(GRACE_MS), GRACE_MS + 1_000);
  const handler = evaluationHandler((id, stopping) => evaluate(id, stopping, evaluator), log);
  const consumer = provider.consumeTasks(handler, { concurrency: EVALUATIONS_AT_ONCE });
  closing.add('evaluations', () => consumer.close(GRACE_MS), GRACE_MS + 2_000);
  log.info({ evaluator: config.evaluator }, 'stored objects are evaluated');
  const wake = new Wake(tasks);
  return (batchId) => wake.add([batchId]);
}

/** What was never put into the queue, because a worker died or the queue was away, gets there now. */
async function sweepOnce(database: Database, tasks: TaskQueue): Promise<void> {
  await tasks.add(await longestWaiting(database, SWEEP.waitedMs, SWEEP.batches));
}

/** Counts what waits, again and again, for the metrics. */
function sample(database: Database, onCount: (count: number | undefined) => void): Running {
  const count = (): void => {
    void countWaiting(database).then(onCount, () => onCount(undefined));
  };
  count();
  const timer = setInterval(count, SWEEP.everyMs);
  timer.unref();
  return { close: async () => clearInterval(timer) };
}
