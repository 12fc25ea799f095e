/** As in test/integration/body-limits.test.ts, with more of them. */
import { inletTest } from '../support/fixtures.ts';
import { expectLongLines } from '../support/long-lines.ts';

const test = inletTest();

test('uploads take lines of many megabytes, many at the same time, in their order', async ({ inlet }) => {
  await expectLongLines(inlet, { files: 6, tooLong: 11 * 1024 * 1024 });
});
