/** As in test/integration/imports.test.ts, with a larger file. */
import { describeOnBothQueues } from '../support/fixtures.ts';
import { expectStepsForward } from '../support/imports.ts';

describeOnBothQueues('an import', (test) => {
  test('never goes a step backwards', async ({ inlet }) => {
    await expectStepsForward(inlet, 20_000);
  });
});
