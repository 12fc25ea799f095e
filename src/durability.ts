/** What becomes of a queue that is less durable than an acknowledgement promises: it is named, or refused. */
import { setTimeout as delay } from 'node:timers/promises';
import { withDeadline } from './closing.ts';
import { OperatorError } from './errors.ts';
import type { BatchQueue } from './queue/queue.ts';
import type { Log } from './telemetry.ts';

/** How long a start waits for the queue, in milliseconds; without it writes get 503. */
const QUEUE_TIMEOUT_MS = 3_000;

/**
 * Names in the log what makes the queue less durable than an acknowledgement promises, now and whenever that
 * changes.
 * @param required whether to refuse such a queue instead: now by not starting, later by refusing batches
 * @throws OperatorError where the queue isn't durable, or doesn't tell, and must be
 */
export async function keepDurable(queue: BatchQueue, required: boolean, log: Log): Promise<void> {
  const known = await withDeadline(firstWeaknesses(queue), 2 * QUEUE_TIMEOUT_MS).catch((err: unknown) => {
    if (required) {
      throw new OperatorError(
        `The queue cannot be reached, so its durability (INLET_REQUIRE_DURABLE_QUEUE) cannot be checked: ${(err as Error).message}`,
      );
    }
    log.warn({ err }, 'the queue cannot be reached: writes get 503 until it is back');
    return undefined;
  });
  if (known && known.length > 0 && required) {
    throw new OperatorError(`${known.join('. ')}. INLET_REQUIRE_DURABLE_QUEUE does not allow that.`);
  }
  const report = (weaknesses: readonly string[]): void => {
    for (const weakness of weaknesses) {
      if (required) log.error(`writes are refused (INLET_REQUIRE_DURABLE_QUEUE): ${weakness}`);
      else log.warn(`acknowledged writes could be lost: ${weakness}`);
    }
  };
  report(known ?? []);
  await queue.watchDurability({
    required,
    known,
    onChange(weaknesses) {
      report(weaknesses);
      if (weaknesses.length === 0) {
        log.info(`the queue is durable again${required ? ': writes are taken again' : ''}`);
      }
    },
  });
}

/** The first connection takes a moment. */
async function firstWeaknesses(queue: BatchQueue): Promise<readonly string[]> {
  const deadline = performance.now() + QUEUE_TIMEOUT_MS;
  for (;;) {
    try {
      return await queue.weaknesses();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await delay(50);
    }
  }
}
