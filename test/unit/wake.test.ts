/** Work that was committed gets into its queue at once, and nobody waits for it. */
import { expect, it } from 'vitest';
import { Wake } from '../../src/queue/wake.ts';

/** A queue whose adds are over when the test says so. */
function heldQueue() {
  const calls: (readonly string[])[] = [];
  let settle: (error?: Error) => void = () => undefined;
  return {
    calls,
    add: (ids: readonly string[]) => {
      calls.push(ids);
      return new Promise<void>((resolve, reject) => {
        settle = (error) => (error ? reject(error) : resolve());
      });
    },
    async next(error?: Error): Promise<void> {
      settle(error);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

it('what comes while others are being added is added together, each once', async () => {
  const queue = heldQueue();
  const wake = new Wake(queue);
  wake.add([]);
  for (const id of ['a', 'b', 'c', 'b']) wake.add([id]);
  expect(queue.calls).toEqual([['a']]);
  await queue.next();
  expect(queue.calls).toEqual([['a'], ['b', 'c']]);
  await queue.next();
  wake.add(['d', 'e']);
  expect(queue.calls.at(-1)).toEqual(['d', 'e']);
});

it('a queue that is away holds up nothing that comes later', async () => {
  const queue = heldQueue();
  const errors: Error[] = [];
  const wake = new Wake(queue, (error) => errors.push(error));
  wake.add(['a']);
  wake.add(['b']);
  await queue.next(new Error('away'));
  expect(queue.calls).toEqual([['a'], ['b']]);
  await queue.next();
  expect(errors).toHaveLength(1);
});

it('nothing is added any more when it is closed, and what is being added is waited for', async () => {
  const queue = heldQueue();
  const wake = new Wake(queue);
  wake.add(['a']);
  let isClosed = false;
  const closed = wake.close().then(() => {
    isClosed = true;
  });
  wake.add(['b']);
  await new Promise((resolve) => setImmediate(resolve));
  expect(isClosed).toBe(false);
  await queue.next();
  await closed;
  expect(queue.calls).toEqual([['a']]);
});
