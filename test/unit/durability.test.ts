import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { DurabilityWatch } from '../../src/queue/durability.ts';
import { QueueNotDurableError, QueueUnavailableError } from '../../src/queue/queue.ts';

let looks: number;
let look: () => Promise<readonly string[]>;
let changes: (readonly string[])[];
let added: number;

beforeEach(() => {
  vi.useFakeTimers();
  looks = 0;
  look = async () => [];
  changes = [];
  added = 0;
});

afterEach(() => {
  vi.useRealTimers();
});

function watch(required: boolean, known?: readonly string[]): DurabilityWatch {
  const counted = (): Promise<readonly string[]> => {
    looks += 1;
    return look();
  };
  return new DurabilityWatch(counted, { required, known, onChange: (found) => changes.push(found) });
}

const add = async (): Promise<void> => {
  added += 1;
};

/** A look whose answer comes when it is given. */
function pending(): (found: readonly string[]) => void {
  let give: (found: readonly string[]) => void = () => undefined;
  look = () =>
    new Promise((resolve) => {
      give = resolve;
    });
  return (found) => give(found);
}

it('adds nothing before the first look, where durability is required', async () => {
  const watching = watch(true);
  const give = pending();
  const checked = watching.check();
  await expect(watching.guard(add)).rejects.toThrow(QueueUnavailableError);
  give([]);
  await checked;
  await watching.guard(add);
  expect(added).toBe(1);
});

it('adds nothing over a new connection before it was looked at', async () => {
  const watching = watch(true);
  await watching.check();
  watching.connectionChanged(false);
  await expect(watching.guard(add)).rejects.toThrow(QueueUnavailableError);
  const give = pending();
  watching.connectionChanged(true);
  await expect(watching.guard(add)).rejects.toThrow(QueueUnavailableError);
  give(['weak']);
  await vi.advanceTimersByTimeAsync(0);
  await expect(watching.guard(add)).rejects.toThrow(QueueNotDurableError);
  expect(added).toBe(0);
});

it('does not believe a look over the connection before', async () => {
  const watching = watch(true);
  const giveOld = pending();
  const old = watching.check();
  watching.connectionChanged(false);
  const giveNew = pending();
  watching.connectionChanged(true);
  giveOld([]);
  await old;
  await expect(watching.guard(add)).rejects.toThrow(QueueUnavailableError);
  giveNew([]);
  await vi.advanceTimersByTimeAsync(0);
  await watching.guard(add);
});

it('does not acknowledge a batch during whose adding the connection was replaced', async () => {
  const watching = watch(true);
  await watching.check();
  const adding = watching.guard(async () => {
    watching.connectionChanged(false);
    watching.connectionChanged(true);
  });
  await expect(adding).rejects.toThrow(QueueUnavailableError);
});

it('adds nothing while a look fails, and looks again soon', async () => {
  const watching = watch(true);
  await watching.check();
  look = async () => {
    throw new Error('away');
  };
  await vi.advanceTimersByTimeAsync(5_000);
  await expect(watching.guard(add)).rejects.toThrow(QueueUnavailableError);
  look = async () => [];
  await vi.advanceTimersByTimeAsync(1_000);
  await watching.guard(add);
});

it('where it is not required, adds whatever is found or not', async () => {
  const watching = watch(false);
  await watching.guard(add);
  look = async () => ['weak'];
  await watching.check();
  watching.connectionChanged(false);
  await watching.guard(add);
  expect(added).toBe(2);
});

it('tells of a change once, however often it looks and reconnects', async () => {
  const watching = watch(false, ['a']);
  look = async () => ['a'];
  await watching.check();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(changes).toEqual([]);
  look = async () => ['a', 'b'];
  for (let i = 0; i < 3; i += 1) {
    watching.connectionChanged(false);
    watching.connectionChanged(true);
    await vi.advanceTimersByTimeAsync(3_000);
  }
  look = async () => [];
  await vi.advanceTimersByTimeAsync(10_000);
  expect(changes).toEqual([['a', 'b'], []]);
});

it('looks every five seconds while nothing is wrong, every second while something is, and never when closed', async () => {
  const watching = watch(true);
  await watching.check();
  await vi.advanceTimersByTimeAsync(10_100);
  expect(looks).toBe(3);
  look = async () => ['weak'];
  await vi.advanceTimersByTimeAsync(5_000);
  looks = 0;
  await vi.advanceTimersByTimeAsync(5_000);
  expect(looks).toBe(5);
  watching.close();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(looks).toBe(5);
});
