/** Objects that a trigger refuses for ever end as failed, however they came, and hold up nobody until then. */
import { expect, onTestFinished } from 'vitest';
import { storeBatch } from '../../src/ingest/store-batch.ts';
import { ObjectsRefusedError } from '../../src/ingest/store-outcome.ts';
import { SteadyClient } from '../../src/store/steady-client.ts';
import { handMadeBatch, object } from '../support/batches.ts';
import { describeOnBothQueues, inletTest } from '../support/fixtures.ts';
import { importFile } from '../support/imports.ts';
import { prepareRefusals } from '../support/refusals.ts';
import { waitFor } from '../support/wait-for.ts';

const CODES = ['0A000', '21000', '42501', '53100', '55000', '55P03', '57014', 'MY001', 'PT402', '08006'];

/** Until an object has failed for good; by the time between its tries, about half a minute. */
const PATIENCE_MS = 120_000;

describeOnBothQueues(
  'objects that are refused for ever',
  (test) => {
    test('have failed in the end, with the reason, and everything else is stored', {
      timeout: 2 * PATIENCE_MS,
    }, async ({ inlet }) => {
      const bad = (i: number) => JSON.stringify({ id: `bad${i}`, refuse: CODES[i % CODES.length] });
      const good = (i: number) => JSON.stringify({ id: `good${i}` });
      const single = await Promise.all(CODES.map((_, i) => inlet.write('single', `{"data":${bad(i)}}`)));
      const array = await inlet.write(
        'array',
        `{"data":[${[...Array(50).keys()].map((i) => (i < 5 ? bad(i) : good(i))).join()}]}`,
      );
      const file = await importFile(
        inlet,
        'file',
        [...Array(1_500).keys()].map((i) => `${i === 700 ? bad(3) : good(i)}\n`).join(''),
      );
      const neighbour = await inlet.write('single', `{"data":${good(0)}}`);
      expect((await inlet.done('single', neighbour)).status).toBe('succeeded');

      const ended = (namespace: string, id: string) =>
        waitFor(
          `request ${id} to be done`,
          async () => {
            const answer = await inlet.status(namespace, id);
            return (answer.status === 'failed' || answer.status === 'succeeded') && answer;
          },
          PATIENCE_MS,
        );
      for (const [i, id] of single.entries()) {
        expect(await ended('single', id)).toMatchObject({
          status: 'failed',
          errors: [{ id: `bad${i}`, message: expect.stringContaining('refused because of') }],
        });
      }
      expect((await ended('array', array)).counts).toEqual({ objects: 50, stored: 45, failed: 5 });
      expect((await ended('file', file)).counts).toEqual({ objects: 1_500, stored: 1_499, failed: 1 });
    });
  },
  { prepare: (url) => prepareRefusals(url, CODES), settings: { workerConcurrency: 2 } },
);

inletTest()(
  'a lock that was waited for in vain is not waited for again and again',
  async ({ databaseUrl, store: { database } }) => {
    const batch = (n: number) => handMadeBatch(n, [{ namespace: 'ns', objects: [object('a', { n })] }]);
    await storeBatch(database, batch(1_000_000));
    const holder = new SteadyClient({ connectionString: databaseUrl });
    await holder.connect();
    onTestFinished(() => holder.end());
    await holder.query('BEGIN; SELECT FROM inlet.objects FOR UPDATE');
    const store = async (n: number) => {
      const begun = performance.now();
      await expect(storeBatch(database, batch(n))).rejects.toThrow(ObjectsRefusedError);
      return performance.now() - begun;
    };
    const first = await store(2_000_000);
    for (let n = 3; n < 8; n += 1) expect(await store(n * 1_000_000)).toBeLessThan(first / 2);
    await holder.query('ROLLBACK');
    expect(await storeBatch(database, batch(8_000_000))).toMatchObject({ stored: 1 });
  },
);
