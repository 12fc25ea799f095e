import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Turns } from '../../src/domain/turns.ts';

const tooLate = (): Error => new Error('late');

/** Something that lasts until it is ended. */
function task(turns: Turns, options: Parameters<Turns['take']>[1] = {}) {
  let end = (): void => undefined;
  let begun = false;
  const running = turns.take(
    () =>
      new Promise<string>((resolve) => {
        begun = true;
        end = () => resolve('done');
      }),
    options,
  );
  return { running, end: () => end(), hasBegun: () => begun };
}

it('lets only so many run at one time, and the others in their order', async () => {
  const turns = new Turns(2);
  const tasks = [task(turns), task(turns), task(turns), task(turns)];
  const begun = (): boolean[] => tasks.map(({ hasBegun }) => hasBegun());
  await delay(1);
  expect(begun()).toEqual([true, true, false, false]);
  tasks[1]?.end();
  expect(await tasks[1]?.running).toBe('done');
  await delay(1);
  expect(begun()).toEqual([true, true, true, false]);
  for (const one of tasks) {
    one.end();
    expect(await one.running).toBe('done');
    await delay(1);
  }
});

it('goes on after one that fails', async () => {
  const turns = new Turns(1);
  await expect(turns.take(() => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
  expect(await turns.take(async () => 'done')).toBe('done');
});

it('gives up who waits too long, and nobody else', async () => {
  const turns = new Turns(1);
  const first = task(turns);
  const patient = task(turns);
  await expect(task(turns, { ms: 20, tooLate }).running).rejects.toThrow('late');
  first.end();
  await first.running;
  await delay(1);
  expect(patient.hasBegun()).toBe(true);
  patient.end();
  await patient.running;
  expect(await turns.take(async () => 'done')).toBe('done');
});

it('ends a wait with the reason of its signal', async () => {
  const turns = new Turns(1);
  const first = task(turns);
  const stop = new AbortController();
  const { running } = task(turns, { signal: stop.signal });
  stop.abort(new Error('stopped'));
  await expect(running).rejects.toThrow('stopped');
  await expect(task(turns, { signal: stop.signal }).running).rejects.toThrow('stopped');
  first.end();
  await first.running;
  expect(await turns.take(async () => 'done')).toBe('done');
});
