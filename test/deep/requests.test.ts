/** The long forms of the races in test/integration/requests.test.ts. */
import { describeOnBothQueues } from '../support/fixtures.ts';
import { expectFollowed, expectWatched, expectWholeLists } from '../support/request-lists.ts';

describeOnBothQueues(
  'requests',
  (test) => {
    test('are listed without one missing or twice while others are written and all are finished', async ({
      inlet,
    }) => {
      await expectWholeLists(inlet, { requests: 60, rounds: 4 });
    });

    test('asked for from the moment of the 202 until they are done never go missing, nor a step back', async ({
      inlet,
    }) => {
      await expectFollowed(inlet, { atOnce: 10, rounds: 5 });
    });

    test('listed from the moment of the 202 until they are done never go missing, nor a step back', async ({
      inlet,
    }) => {
      await expectWatched(inlet, 20);
    });
  },
  { workers: 0 },
);
