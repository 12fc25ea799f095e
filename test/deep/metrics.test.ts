/** The metrics of API and worker in one process. */
import { expect, onTestFinished } from 'vitest';
import { inletTest } from '../support/fixtures.ts';
import { KEY } from '../support/inlet.ts';
import { InletProcess } from '../support/process.ts';
import { scrape, total } from '../support/prometheus.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest();

test('inlet serve has those of both sides in one', async ({ databaseUrl }) => {
  const serve = new InletProcess(['serve'], { DATABASE_URL: databaseUrl, INLET_API_KEYS: KEY, PORT: '0' });
  onTestFinished(() => serve.close());
  const url = await serve.apiUrl();
  await fetch(`${url}/v1/data/m`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: '{"data": {"id": "a"}}',
  });
  const both = await waitFor('the object to be counted', async () => {
    const found = await scrape(url);
    return total(found, 'inlet_objects_total', { outcome: 'stored' }) === 1 && found;
  });
  expect(total(both, 'inlet_batch_objects_sum')).toBe(1);
  for (const pool of ['api', 'worker']) {
    expect(total(both, 'inlet_database_connections_max', { pool })).toBeGreaterThan(0);
  }
  expect(both.samples.filter(({ name }) => name === 'process_cpu_seconds_total')).toHaveLength(1);
  expect((await serve.kill('SIGTERM')).code).toBe(0);
});
