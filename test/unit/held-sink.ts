/** A queue by hand, and what else it takes to stop time between the steps of a group commit. */
import { vi } from 'vitest';
import { createBatchIds } from '../../src/domain/request-id.ts';
import type { BatchSink } from '../../src/ingest/group-commit.ts';
import { GroupCommit } from '../../src/ingest/group-commit.ts';
import type { UnstampedBatch } from '../../src/queue/queue.ts';

/** A queue that keeps every batch waiting until the test answers for it. */
export class HeldSink implements BatchSink {
  /** All that was ever added, in order. */
  readonly batches: UnstampedBatch[] = [];
  mostInFlight = 0;
  #waiting: { resolve: () => void; reject: (error: Error) => void }[] = [];

  add(batch: UnstampedBatch): Promise<void> {
    this.batches.push(batch);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.mostInFlight = Math.max(this.mostInFlight, this.#waiting.length);
    });
  }

  /** The oldest batch in flight is on disk. */
  store(): void {
    this.#waiting.shift()?.resolve();
  }

  /** The oldest batch in flight is refused. */
  fail(error: Error): void {
    this.#waiting.shift()?.reject(error);
  }

  /** Stores whatever comes until nothing comes any more; what lingers may be left behind. */
  async storeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      this.store();
      await settled();
    }
  }

  /** The ids of the objects of each batch. */
  contents(): string[][] {
    return this.batches.map(({ requests }) => requests.flatMap(({ ids }) => ids));
  }
}

/** Lets everything run that can run without a timer. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i += 1) await turn();
}

/** Time goes on only when the test says so; the event loop turns as ever. */
export function useFakeClock(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
}

/** As {@link settled}, once what lingers for others has lingered long enough. For a fake clock. */
export async function lingered(): Promise<void> {
  await settled();
  vi.advanceTimersByTime(10);
  await settled();
}

/** What a promise has come to by now. */
export async function stateOf(promise: Promise<unknown>): Promise<'pending' | 'fulfilled' | 'rejected'> {
  await settled();
  return Promise.race([
    promise.then(
      () => 'fulfilled' as const,
      () => 'rejected' as const,
    ),
    settled().then(() => 'pending' as const),
  ]);
}

/** A group commit into such a queue. */
export function setUp() {
  const sink = new HeldSink();
  const commit = new GroupCommit(sink, createBatchIds());
  const submit = (id: string, bytes = 10): Promise<string> => {
    const answer = commit.submit({ namespace: 'ns', ids: [id], objects: `{"id":"${id}"}`, bytes });
    // What the test looks at later must not count as unhandled until then.
    answer.catch(() => undefined);
    return answer;
  };
  return { sink, commit, submit };
}

/** A turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Fills both places in flight, so that what is submitted next stands in line. */
export async function fillFlight(submit: (id: string) => Promise<string>): Promise<Promise<string>[]> {
  const first = submit('flight 1');
  await settled();
  const second = submit('flight 2');
  await settled();
  return [first, second];
}
