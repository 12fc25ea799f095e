import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { LongLines } from '../../src/ingest/long-lines.ts';

const SHORT = 1024 * 1024;
const LONG = SHORT + 1;

async function isPending(promise: Promise<void>): Promise<boolean> {
  return Promise.race([promise.then(() => false), delay(20, true)]);
}

it('holds two long lines at one time, and any number of short ones', async () => {
  const all = new LongLines();
  const { signal } = new AbortController();
  const [first, second, third, fourth] = [
    all.open(signal),
    all.open(signal),
    all.open(signal),
    all.open(signal),
  ];
  await Promise.all([first.hold(LONG), second.hold(LONG)]);
  const waiting = third.hold(LONG);
  expect(await isPending(waiting)).toBe(true);
  await fourth.hold(SHORT);
  // What is held may grow.
  await first.hold(10 * LONG);
  second.release();
  second.release();
  await waiting;
  const last = fourth.hold(LONG);
  expect(await isPending(last)).toBe(true);
  third.release();
  await last;
});

it('ends a wait with the reason of its signal', async () => {
  const all = new LongLines();
  const stop = new AbortController();
  await Promise.all([all.open(stop.signal).hold(LONG), all.open(stop.signal).hold(LONG)]);
  const waiting = all.open(stop.signal).hold(LONG);
  stop.abort(new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
});
