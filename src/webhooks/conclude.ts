/** What follows from an attempt: whether the delivery is done, due again or given up, and what it tells of its endpoint. */
import { retryDelay } from '../domain/retry-schedule.ts';
import type { Attempt } from './attempt.ts';
import type { Outcome } from './outcome-writer.ts';

/** An attempt that was made. */
export interface MadeAttempt {
  readonly endpointId: string;
  readonly webhookId: string;
  /** How many have failed before. */
  readonly tries: number;
  readonly attempt: Attempt;
  /** When it began, milliseconds since 1970. */
  readonly begun: number;
  readonly durationMs: number;
}

/**
 * Concludes what follows.
 * @param schedule after how many milliseconds each further attempt is made
 * @param mayBeFailing whether an attempt at this endpoint may have failed before
 */
export function conclude(made: MadeAttempt, schedule: readonly number[], mayBeFailing: boolean): Outcome {
  const { endpointId, webhookId, tries, attempt, begun, durationMs } = made;
  const { outcome, statusCode, response, error, pauseMs = 0 } = attempt;
  const succeeded = outcome === 'succeeded';
  const retryMs = succeeded ? undefined : retryDelay(tries + 1, schedule);
  return {
    delivery: {
      ...{ endpointId, webhookId, tries },
      attempt: {
        at: new Date(begun).toISOString(),
        status_code: statusCode,
        duration_ms: durationMs,
        ...{ response, error },
      },
      status: succeeded ? 'succeeded' : retryMs === undefined ? 'failed' : 'pending',
      retryMs: Math.max(retryMs ?? 0, pauseMs),
    },
    changesEndpoint: !succeeded || mayBeFailing,
    isGone: outcome === 'gone',
    pauseMs,
  };
}
