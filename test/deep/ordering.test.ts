/** The long forms of the races in test/integration/ordering.test.ts. */
import { describeOnBothQueues, inletTest, startInlet } from '../support/fixtures.ts';
import { expectLastOfEach, expectLastOfShuffled } from '../support/ordering.ts';

const test = inletTest();

test('many workers storing shuffled batches of the same ids, each batch twice, end with the last of each', async ({
  store: { database },
}) => {
  await expectLastOfShuffled(database, { batches: 120 });
});

describeOnBothQueues(
  'writes in flight together',
  (test) => {
    test('through two APIs and five workers, each id ends at the version that was acknowledged last', async ({
      config,
      inlet,
    }) => {
      const second = await startInlet(config, { workers: 2 });
      await expectLastOfEach([inlet, second], { writers: 20, versions: 30 });
    });
  },
  { workers: 3 },
);
