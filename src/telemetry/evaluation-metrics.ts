/** What is measured of a worker's evaluation. */
import type { Evaluation, EvaluatorObserver } from '../evaluation/evaluator.ts';
import type { Registry } from './registry.ts';

/** In seconds: evaluators may look at a few fields, or ask a model far away. */
const EVALUATION_SECONDS = [
  ...[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300],
];

const OUTCOMES = ['succeeded', 'failed', 'timed_out'] as const satisfies Evaluation['outcome'][];

/** @param waiting the latest that is known of how many requests and chunks wait */
export function evaluationMetrics(
  registry: Registry,
  waiting: () => number | undefined,
): Required<EvaluatorObserver> {
  const histogram = registry.histogram(
    'inlet_evaluation_duration_seconds',
    'Time that the evaluation of an object took from its turn on, and the number of objects, by what became of them.',
    EVALUATION_SECONDS,
  );
  const seconds = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, histogram.series({ outcome })]));
  let lost = 0;
  registry.counter(
    'inlet_evaluator_threads_lost_total',
    'Threads of the evaluator that have ended, because it blocked or ended them or used up their memory.',
    () => lost,
  );
  registry.gauge(
    'inlet_evaluations_waiting',
    'Requests and chunks of imports that are stored and wait to be evaluated. The same from every worker: take the maximum.',
    waiting,
  );
  return {
    onEvaluated: (outcome, ms) => seconds[outcome]?.record(ms / 1_000),
    onThreadLost: () => {
      lost += 1;
    },
  };
}
