/** When a worker counts as stuck, and when not: on a clock of the test's own. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WATCH_LIMITS, WorkerWatch } from '../../src/ingest/worker-watch.ts';
import type { ByLane, Lane } from '../../src/queue/lane.ts';
import { handMadeBatch, object } from '../support/batches.ts';

const MINUTE = 60_000;
const running = new AbortController().signal;

let now: number;
let waiting: ByLane<number> | Error;
let asked: Lane[];
let watch: WorkerWatch;

beforeEach(() => {
  now = 0;
  waiting = { writes: 0, imports: 0, replays: 0 };
  asked = [];
  watch = new WorkerWatch({
    queue: {
      async takeable(lane) {
        asked.push(lane);
        if (waiting instanceof Error) throw waiting;
        return waiting[lane];
      },
    },
    concurrency: { writes: 2, imports: 1, replays: 1 },
    limits: WATCH_LIMITS,
    now: () => now,
  });
});

afterEach(() => watch.close());

function batch() {
  return handMadeBatch(1, [{ namespace: 'ns', objects: [object('a')] }]);
}

/** Hands the worker a batch, and returns what finishes it. */
function take(): { finish: () => Promise<void>; batch: ReturnType<typeof batch> } {
  const taken = batch();
  let finish: () => void = () => undefined;
  const handled = watch.handler(
    () =>
      new Promise((resolve) => {
        finish = resolve;
      }),
  )(taken, running);
  return {
    batch: taken,
    finish: () => {
      finish();
      return handled;
    },
  };
}

/** Lets time pass, with the looks that belong to it. */
async function pass(ms: number): Promise<void> {
  for (const end = now + ms; now < end; ) {
    now += WATCH_LIMITS.lookEveryMs;
    await watch.look();
  }
}

it('with nothing to do it is fine for ever', async () => {
  await pass(60 * MINUTE);
  expect(watch.problem()).toBeUndefined();
});

describe('a batch in hand', () => {
  it('of which nothing is done for five minutes is a problem', () => {
    take();
    now += 5 * MINUTE;
    expect(watch.problem()).toBeUndefined();
    now += 1;
    expect(watch.problem()).toMatch(/writes has been in hand for 300 s/);
  });

  it('is none as long as attempts end, however long it takes', () => {
    const { batch: taken } = take();
    for (let i = 0; i < 100; i += 1) {
      now += 4 * MINUTE;
      expect(watch.problem()).toBeUndefined();
      watch.onProgress(taken);
    }
  });

  it('that is stuck is not hidden by others that are stored', async () => {
    take();
    for (let i = 0; i < 100; i += 1) {
      now += 4_000;
      await take().finish();
    }
    expect(watch.problem()).toMatch(/in hand/);
  });

  it('is forgotten when it is done, also where it failed', async () => {
    await take().finish();
    const failing = watch.handler(() => Promise.reject(new Error('x')));
    await expect(failing(batch(), running)).rejects.toThrow('x');
    now += 60 * MINUTE;
    expect(watch.problem()).toBeUndefined();
    expect(watch.inHand('writes')).toBe(0);
  });
});

describe('batches that wait', () => {
  it('for two minutes, while there is room and none is taken, are a problem', async () => {
    waiting = { writes: 3, imports: 0, replays: 0 };
    await pass(2 * MINUTE);
    expect(watch.problem()).toBeUndefined();
    await pass(20_000);
    expect(watch.problem()).toMatch(/writes wait, and for 130 s/);
  });

  it('of imports are a problem too, though writes are taken', async () => {
    waiting = { writes: 0, imports: 1, replays: 0 };
    for (let i = 0; i < 20; i += 1) {
      await pass(10_000);
      await take().finish();
    }
    expect(watch.problem()).toMatch(/imports wait/);
  });

  it('are none where there is no room', async () => {
    waiting = { writes: 3, imports: 0, replays: 0 };
    const inHand = [take(), take()];
    for (let i = 0; i < 10; i += 1) {
      await pass(MINUTE);
      for (const { batch: taken } of inHand) watch.onProgress(taken);
    }
    expect(watch.problem()).toBeUndefined();
  });

  it('are none while one after the other is taken', async () => {
    waiting = { writes: 100, imports: 0, replays: 0 };
    for (let i = 0; i < 10; i += 1) {
      await pass(MINUTE);
      await take().finish();
    }
    expect(watch.problem()).toBeUndefined();
  });

  it('are none where there were none in between', async () => {
    for (let i = 0; i < 10; i += 1) {
      waiting = { writes: 1, imports: 0, replays: 0 };
      await pass(MINUTE);
      waiting = { writes: 0, imports: 0, replays: 0 };
      await pass(10_000);
    }
    expect(watch.problem()).toBeUndefined();
  });

  it('are none while the queue reports errors', async () => {
    waiting = { writes: 3, imports: 3, replays: 0 };
    for (let i = 0; i < 10; i += 1) {
      await pass(MINUTE);
      watch.onQueueError();
    }
    expect(watch.problem()).toBeUndefined();
  });

  it('are none while the queue cannot be asked', async () => {
    waiting = { writes: 3, imports: 3, replays: 0 };
    await pass(MINUTE);
    waiting = new Error('away');
    await pass(10 * MINUTE);
    expect(watch.problem()).toBeUndefined();
  });

  it('stop being a problem when one is taken', async () => {
    waiting = { writes: 3, imports: 0, replays: 0 };
    await pass(3 * MINUTE);
    expect(watch.problem()).toBeDefined();
    take();
    expect(watch.problem()).toBeUndefined();
  });
});

it('the queue is not asked while every place is taken', async () => {
  take();
  take();
  await pass(10_000);
  expect(asked).toEqual(['imports', 'replays']);
});
