import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { ProblemError } from '../../src/errors.ts';
import type { WatchedBody } from '../../src/http/body-watch.ts';
import { BodyWatch } from '../../src/http/body-watch.ts';

const LIMITS = { bodyIdleMs: 200, bodyBytesPerSecond: 100, bodyMs: 1_000 };

let watch: BodyWatch;
const timers: NodeJS.Timeout[] = [];

afterEach(() => {
  watch.close();
  for (const timer of timers.splice(0)) clearInterval(timer);
});

/** A body of which so many bytes come every 20 ms. @returns what it is given up with, and when */
function watched(bytes: number, limits = LIMITS): Promise<{ message: string; ms: number }> {
  watch = new BodyWatch(limits);
  const started = performance.now();
  return new Promise((resolve) => {
    const body: WatchedBody & { received: number } = {
      received: 0,
      giveUp: ({ message }: ProblemError) => {
        watch.remove(body);
        resolve({ message, ms: performance.now() - started });
      },
    };
    watch.add(body);
    timers.push(
      setInterval(() => {
        body.received += bytes;
      }, 20),
    );
  });
}

describe('a body is given up', () => {
  it('where nothing comes', async () => {
    const { message, ms } = await watched(0);
    expect(message).toBe('nothing of the body has come for 0.2 seconds');
    expect(ms).toBeGreaterThan(LIMITS.bodyIdleMs);
  });

  it('where it comes too slowly', async () => {
    const { message, ms } = await watched(1);
    expect(message).toBe('the body comes slower than 100 bytes a second');
    expect(ms).toBeGreaterThan(LIMITS.bodyIdleMs);
  });

  it('where it takes too long, however fast it comes', async () => {
    const { message, ms } = await watched(1_000);
    expect(message).toBe('the body takes longer than 1 seconds to arrive');
    expect(ms).toBeGreaterThan(LIMITS.bodyMs);
  });
});

it('a body that was taken in is not looked at any more', async () => {
  watch = new BodyWatch({ ...LIMITS, bodyIdleMs: 40 });
  let givenUp = false;
  const body = {
    received: 0,
    giveUp: () => {
      givenUp = true;
    },
  };
  watch.add(body);
  watch.remove(body);
  await delay(200);
  expect(givenUp).toBe(false);
});
