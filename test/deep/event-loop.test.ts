/** As in test/integration/event-loop.test.ts, with all kinds of bodies. */
import { adversarialBodies } from '../support/adversarial-texts.ts';
import { inletTest } from '../support/fixtures.ts';
import { expectNoWaits } from '../support/health-waits.ts';

const test = inletTest({ workers: 0 });

test('others are answered while bodies of 10 MB are read', async ({ inlet }) => {
  await expectNoWaits(inlet, adversarialBodies(10_000_000));
}, 600_000);
