/** An API that is to stop says so first, and takes requests until load balancers have noticed. */
import { expect } from 'vitest';
import { inletTest, startInlet } from '../support/fixtures.ts';
import type { TestInlet } from '../support/inlet.ts';
import { waitFor } from '../support/wait-for.ts';

const test = inletTest();

const DRAIN_MS = 2_000;

async function readiness(inlet: TestInlet): Promise<{ code: number; body: Record<string, unknown> }> {
  const response = await fetch(`${inlet.url}/readyz`);
  return { code: response.status, body: (await response.json()) as Record<string, unknown> };
}

test('takes writes for INLET_DRAIN_TIME though it is not ready any more, and closes connections', async ({
  config,
}) => {
  const inlet = await startInlet({ ...config, drainTime: DRAIN_MS });
  expect((await readiness(inlet)).code).toBe(200);
  expect((await inlet.post('drain', '{"data":{"id":"a"}}')).headers.get('connection')).toBe('keep-alive');
  const begun = performance.now();
  const closed = inlet.close();
  const told = await waitFor('the API to be not ready', async () => {
    const found = await readiness(inlet);
    return found.code === 503 && found;
  });
  expect(told.body).toMatchObject({ status: 'not_ready', queue: 'up', store: 'up' });
  expect(told.body['warnings']).toContain('the process is about to stop');
  for (const id of ['b', 'c']) {
    const response = await inlet.post('drain', `{"data":{"id":"${id}"}}`);
    expect(response.status).toBe(202);
    expect(response.headers.get('connection')).toBe('close');
  }
  await closed;
  expect(performance.now() - begun).toBeGreaterThan(DRAIN_MS);
  await expect(readiness(inlet)).rejects.toThrow();
});

test('stops at once where no time is set', async ({ config }) => {
  const inlet = await startInlet(config, { workers: 0 });
  const begun = performance.now();
  await inlet.close();
  expect(performance.now() - begun).toBeLessThan(2_000);
});
