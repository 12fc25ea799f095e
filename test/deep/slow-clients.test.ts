/** Slow clients in large crowds. */
import { inletTest } from '../support/fixtures.ts';
import { largeDownload } from '../support/imports.ts';
import { expectNobodyHeldUp } from '../support/slow-clients.ts';

const test = inletTest();

const CROWD = 200;

test(`${CROWD} slow connections of each kind don't hold up normal traffic`, async ({ inlet }) => {
  await expectNobodyHeldUp(inlet, await largeDownload(inlet, 30), CROWD, 300);
});
