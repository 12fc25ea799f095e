/**
 * What is done again and again, by one worker at a time: a job scheduler of BullMQ, on a queue of its own. The
 * job of the next time is added when the one before is begun, so there is one of them however many processes ask
 * for it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Queue } from 'bullmq';
import type { Backend, Producer } from './backend.ts';
import { PRODUCER_TIMEOUT_MS } from './backend.ts';
import type { Schedule } from './queue.ts';
import { QueueUnavailableError } from './queue.ts';

/** How long to wait before the schedule is set up again where the queue is away, in milliseconds. */
const RETRY_MS = 1_000;

/** How often it is made sure that the schedule is still there, in milliseconds. */
const RENEW_MS = 10 * 60_000;

export interface ScheduleOptions {
  readonly name: string;
  /** Milliseconds from one time to the next. */
  readonly everyMs: number;
  readonly onError: (error: Error) => void;
}

/**
 * Sees to it that the queue has the schedule: at once, and every ten minutes, because a Redis that was emptied has
 * lost it. Setting up what is there already changes nothing.
 * @param consumer runs the jobs, and is closed with the schedule
 */
export function keepSchedule(backend: Backend, consumer: Schedule, options: ScheduleOptions): Schedule {
  const { name, everyMs, onError } = options;
  let timer: NodeJS.Timeout | undefined;
  let current = Promise.resolve();
  const closing = new AbortController();

  const run = (): void => {
    current = setUp(backend, name, everyMs, closing.signal)
      .then(
        () => RENEW_MS,
        (error: Error) => {
          if (!closing.signal.aborted) onError(error);
          return RETRY_MS;
        },
      )
      .then((waitMs) => {
        if (closing.signal.aborted) return;
        timer = setTimeout(run, waitMs);
        timer.unref();
      });
  };
  run();
  return {
    async close(graceMs) {
      closing.abort();
      clearTimeout(timer);
      await Promise.all([current, consumer.close(graceMs)]);
    },
  };
}

/** Over connections that are closed afterwards: they are needed once an hour. */
async function setUp(backend: Backend, name: string, everyMs: number, closing: AbortSignal): Promise<void> {
  const producer = backend.openProducer();
  let queue: Queue | undefined;
  try {
    await connected(producer, closing);
    queue = producer.createQueue('writes');
    // It throws what it reports.
    queue.on('error', () => undefined);
    await queue.waitUntilReady();
    // A run that takes longer than the time between two is not joined by the next one.
    await queue.setGlobalConcurrency(1);
    await queue.upsertJobScheduler(
      name,
      { every: everyMs },
      { name, opts: { removeOnComplete: true, removeOnFail: true } },
    );
  } finally {
    await queue?.close().catch(() => undefined);
    await producer.close();
  }
}

/** A producer that was just opened connects in the background. */
async function connected(producer: Producer, closing: AbortSignal): Promise<void> {
  const deadline = performance.now() + PRODUCER_TIMEOUT_MS;
  while (!producer.isConnected()) {
    if (performance.now() > deadline) throw new QueueUnavailableError('no connection to the queue');
    await delay(50, undefined, { signal: closing });
  }
}
