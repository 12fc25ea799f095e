/** No body keeps others from their answers, whatever it says. All of the kinds are in test/deep/event-loop.test.ts. */
import { expect } from 'vitest';
import { adversarialBodies } from '../support/adversarial-texts.ts';
import { inletTest } from '../support/fixtures.ts';
import { expectNoWaits } from '../support/health-waits.ts';

const test = inletTest({ workers: 0 });

test('others are answered while bodies of 10 MB are read', async ({ inlet }) => {
  const bodies = adversarialBodies(10_000_000);
  for (const name of ['a long name above many mistakes', 'runs of 499 digits', 'line ends']) {
    await expectNoWaits(inlet, { [name]: bodies[name] ?? expect.fail(name) });
  }
});
